import PEFTKernel

/// One way in which a method breaks a law.
public struct Failure: Sendable, Hashable, CustomStringConvertible {
  public var law: Law
  /// The options it broke with.
  public var options: [String: OptionValue]
  public var message: String

  init(_ law: Law, _ options: [String: OptionValue], _ message: String) {
    self.law = law
    self.options = options
    self.message = message
  }

  public var description: String { "\(law.rawValue) \(OptionValue.map(options).text): \(message)" }
}
