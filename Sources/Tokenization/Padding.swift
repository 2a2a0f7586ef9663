/// What encodings are filled up with, and to which length.
public struct Padding: Sendable, Equatable {
  public enum Length: Sendable, Equatable {
    /// The longest of the batch.
    case longest
    case fixed(Int)
  }

  public var length: Length
  /// Lengths are rounded up to a multiple of this.
  public var multiple: Int?
  public var side: Side
  public var id: Int
  public var typeID: Int
  /// The token of `id`, as the document spells it.
  public var token: String

  /// More than any model takes; a document may ask for what no memory holds.
  private static let longest = 1 << 20

  public init(
    length: Length = .longest, multiple: Int? = nil, side: Side = .right, id: Int, typeID: Int = 0, token: String = "[PAD]"
  ) {
    (self.length, self.multiple, self.side, self.id, self.typeID, self.token) = (length, multiple, side, id, typeID, token)
  }

  init(_ field: Field) throws(TokenizerError) {
    let strategy = field["strategy"]
    if strategy.value == "BatchLongest" {
      length = .longest
    } else {
      let fixed = strategy["Fixed"]
      guard !fixed.isNull else { throw strategy.refusal("expected \"BatchLongest\" or a \"Fixed\" length") }
      length = .fixed(try Self.length(fixed))
    }
    multiple = field["pad_to_multiple_of"].isNull ? nil : try Self.length(field["pad_to_multiple_of"])
    side = try Side(field["direction"])
    id = Int(try field["pad_id"].tokenID())
    typeID = Int(try field["pad_type_id"].tokenID())
    token = try field["pad_token"].string()
  }

  private static func length(_ field: Field) throws(TokenizerError) -> Int {
    let length = try field.int()
    guard (0...longest).contains(length) else {
      throw field.refusal("\(length) is not supported: lengths go from 0 to \(longest)")
    }
    return length
  }

  /// Fills up all encodings to one length; longer ones stay as they are.
  func pad(_ encodings: inout [Encoding]) throws(TokenizerError) {
    var target = encodings.map(\.ids.count).max() ?? 0
    if case .fixed(let length) = length { target = length }
    if let multiple, multiple > 0, target % multiple > 0 {
      target = target.addingReportingOverflow(multiple - target % multiple).partialValue
    }
    let most = max(Self.longest, encodings.map(\.ids.count).max() ?? 0) * 2
    guard (0...most).contains(target) else {
      throw TokenizerError(path: "padding", message: "to \(target) tokens is not supported: \(Self.longest) are the most")
    }
    for i in encodings.indices where encodings[i].ids.count < target {
      let count = target - encodings[i].ids.count
      fill(&encodings[i].ids, count, id)
      fill(&encodings[i].typeIDs, count, typeID)
      fill(&encodings[i].attentionMask, count, 0)
      fill(&encodings[i].specialTokensMask, count, 1)
    }
  }

  private func fill(_ values: inout [Int], _ count: Int, _ value: Int) {
    values.insert(contentsOf: repeatElement(value, count: count), at: side == .left ? 0 : values.count)
  }
}
