import Logging

/// Log lines on standard error.
struct ConsoleLogHandler: LogHandler {
  let console: Console
  var logLevel: Logger.Level = .warning
  var metadata: Logger.Metadata = [:]

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let pairs = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }
    console.note("\(event.level): \(event.message)\(pairs.joined())")
  }
}
