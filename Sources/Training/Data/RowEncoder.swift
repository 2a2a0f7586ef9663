/// Turns rows into examples of one task.
public protocol RowEncoder: Sendable {
  /// A row as an example that the model can read, and how many tokens it would have without a limit. Says why where it cannot be one.
  func example(_ content: DataRow.Content) throws(RowProblem) -> (example: Example, length: Int)
}

/// Rows of a file as examples, and what became of the others.
public struct EncodedRows: Sendable {
  /// In the order of the file, without those of which nothing is left to learn.
  public var examples: [Example] = []
  /// The row of every example, by its place among the rows.
  public var rows: [Int] = []
  /// Tokens of every row before cutting; 0 of bad ones.
  public var lengths: [Int] = []
  /// Rows that were cut, and rows left out with nothing to learn, by their places.
  public var cut: [Int] = []
  public var dropped: [Int] = []
  public var bad: [BadRow] = []
}

extension RowEncoder {
  /// All rows, in order; bad ones are an error.
  public func encodeAll(_ rows: [DataRow], of path: String) throws(DataErrors) -> EncodedRows {
    let result = encode(rows, of: path)
    guard result.bad.isEmpty else { throw DataErrors(result.bad) }
    return result
  }

  /// All rows, in order.
  public func encode(_ rows: [DataRow], of path: String) -> EncodedRows {
    var result = EncodedRows()
    for (index, row) in rows.enumerated() {
      do throws(RowProblem) {
        let (example, length) = try example(row.content)
        result.lengths.append(length)
        if length > example.size { result.cut.append(index) }
        if example.labelCount > 0 {
          result.examples.append(example)
          result.rows.append(index)
        } else {
          result.dropped.append(index)
        }
      } catch {
        result.lengths.append(0)
        result.bad.append(BadRow(row, of: path, error))
      }
    }
    return result
  }
}
