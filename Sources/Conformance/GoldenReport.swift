/// How one tensor of a reference file compares with ours.
public struct GoldenCheck: Sendable, Hashable {
  public enum Outcome: Sendable, Hashable {
    /// Largest difference over the largest entry of the expected tensor (or over 1e-3, if that is larger).
    case error(Double)
    /// Not compared, and why that is a failure.
    case failed(String)
    /// Not compared, for a reason the method's reader states.
    case unchecked(String)
  }

  /// The tensor's name in the file.
  public var tensor: String
  public var outcome: Outcome
  /// The error that is allowed.
  public var bound: Double

  public var passed: Bool {
    switch outcome {
    case .error(let error): error <= bound
    case .failed: false
    case .unchecked: true
    }
  }

  public var error: Double? {
    guard case .error(let error) = outcome else { return nil }
    return error
  }
}

extension GoldenCheck: CustomStringConvertible {
  public var description: String {
    switch outcome {
    case .error(let error): "\(tensor): error \(error)\(passed ? "" : ", more than \(bound)")"
    case .failed(let reason): "\(tensor): \(reason)"
    case .unchecked(let reason): "\(tensor): not checked: \(reason)"
    }
  }
}

/// What running one reference file found.
public struct GoldenReport: Sendable, Hashable {
  public var file: String
  /// The method the file names.
  public var method: String
  /// The registry entry that ran it.
  public var entry: String?
  /// One check for every result the file states, by name.
  public var checks: [GoldenCheck]
  /// Results that such a file usually states and this one does not: nothing is known about them.
  public var absent: [String] = []
  /// Why the file could not be run at all.
  public var failure: String?

  public init(file: String, method: String = "", entry: String? = nil, checks: [GoldenCheck] = [], failure: String? = nil) {
    self.file = file
    self.method = method
    self.entry = entry
    self.checks = checks
    self.failure = failure
  }

  public var passed: Bool { failure == nil && checks.allSatisfy(\.passed) }

  /// The check with the largest error.
  public var worst: GoldenCheck? { checks.filter { $0.error != nil }.max { ($0.error ?? 0) < ($1.error ?? 0) } }

  /// Everything that is wrong, in words.
  public var faults: [String] {
    (failure.map { [$0] } ?? []) + checks.filter { !$0.passed }.map(\.description)
  }
}
