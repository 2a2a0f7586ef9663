import Files
import JSON
import Registry

/// Reading of training text: JSON rows in any of the formats of the field, or plain text, one example a line.
public enum DataFile {
  /// The rows of a file. Bad ones are all reported at once, each as `file:line: reason`, the first twenty of them.
  ///
  /// - Parameter format: what the rows are; `auto` goes by the keys of each.
  public static func read(_ path: String, format: RunFile.DataSettings.Format = .auto) throws -> [DataRow] {
    let (rows, bad) = try inspect(path, format: format)
    guard bad.isEmpty else { throw DataErrors(bad) }
    guard !rows.isEmpty else {
      throw DataErrors(messages: ["\(path): the file has no rows; give one JSON object a line"])
    }
    return rows
  }

  /// The rows of a file, and those that are none.
  public static func inspect(
    _ path: String, format: RunFile.DataSettings.Format = .auto
  ) throws -> (rows: [DataRow], bad: [BadRow]) {
    guard !TokenFile.isNamed(path) else {
      throw FileError(.badData, path, "holds tensors, not text", remedy: "give token ids as data.tokens")
    }
    var reader = try RowReader(path)
    var rows: [DataRow] = []
    var bad: [BadRow] = []
    let isJSON = path.hasSuffix(".jsonl") || path.hasSuffix(".json")
    while let row = try reader.next() {
      do throws(RowProblem) {
        rows.append(DataRow(line: row.line, isJSON ? try content(row.bytes, format) : try plain(row.bytes)))
      } catch {
        bad.append(BadRow(path: path, line: row.line, reason: error.reason))
      }
    }
    return (rows, bad)
  }

  private static func plain(_ bytes: UnsafeRawBufferPointer) throws(RowProblem) -> DataRow.Content {
    guard let text = String(validating: bytes, as: UTF8.self) else { throw RowProblem(reason: "not UTF-8") }
    return .text(text)
  }

  private static func content(
    _ bytes: UnsafeRawBufferPointer, _ format: RunFile.DataSettings.Format
  ) throws(RowProblem) -> DataRow.Content {
    let json: JSON
    do throws(JSONError) { json = try JSON(parsing: bytes) } catch {
      // A row of an array may go over several lines.
      let place = error.line == 1 ? "column \(error.column)" : "line \(error.line) of the row, column \(error.column)"
      throw RowProblem(reason: "not JSON: \(error.message) (\(place))")
    }
    return try RowFormat.content(json, as: format)
  }
}
