import CYAML

extension YAMLNode {
  /// Reads the one document of a text; `file` names it in messages.
  ///
  /// Refused with their place: no document or two, a key twice, keys that are no scalars, merge keys, tags other than
  /// `!!str`, `!!seq` and `!!map`, nesting beyond 64 levels, more than 100 000 nodes once aliases are expanded, texts beyond 16 MiB.
  public static func parse(_ text: String, file: String) throws(YAMLError) -> YAMLNode {
    try parse(Array(text.utf8), file: file)
  }

  public static func parse(_ bytes: [UInt8], file: String) throws(YAMLError) -> YAMLNode {
    var duplicates: [YAMLError] = []
    let node = try parse(bytes, file: file, duplicates: &duplicates)
    if let first = duplicates.first { throw first }
    return node
  }

  /// Reads on after a key that stands twice, for readers that report every fault at once: the first of them counts, the others are
  /// added to `duplicates`.
  public static func parse(_ text: String, file: String, duplicates: inout [YAMLError]) throws(YAMLError) -> YAMLNode {
    try parse(Array(text.utf8), file: file, duplicates: &duplicates)
  }

  private static func parse(_ bytes: [UInt8], file: String, duplicates: inout [YAMLError]) throws(YAMLError) -> YAMLNode {
    guard bytes.count <= maximumBytes else {
      throw YAMLError(file: file, mark: Mark(line: 1, column: 1), message: "the text is longer than \(maximumBytes) bytes")
    }
    // libyaml counts a byte order mark as a column, and then finds the second line indented too little.
    let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
    let parser = YAMLParser(bytes: bytes.starts(with: mark) ? Array(bytes.dropFirst(3)) : bytes, file: file)
    let node = try parser.document()
    duplicates += parser.duplicates
    return node
  }

  static let maximumDepth = 64
  static let maximumNodes = 100_000
  static let maximumBytes = 1 << 24
}

/// Turns libyaml's events into nodes. Holds a C parser, which must not move: hence a class.
private final class YAMLParser {
  private let bytes: [UInt8]
  private let file: String
  private let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
  private let input: UnsafeMutableBufferPointer<UInt8>
  private let isReady: Bool

  /// Anchored nodes with their size, so that aliases are counted without being walked.
  private var anchors: [String: (node: YAMLNode, count: Int, height: Int)] = [:]
  private(set) var duplicates: [YAMLError] = []
  /// Nodes made so far, those that aliases repeat included.
  private var count = 0

  init(bytes: [UInt8], file: String) {
    self.bytes = bytes
    self.file = file
    input = .allocate(capacity: bytes.count)
    _ = input.initialize(from: bytes)
    isReady = yaml_parser_initialize(parser) != 0
    guard isReady else { return }
    // Said outright, or a byte order mark would make libyaml take the text for UTF-16.
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
    yaml_parser_set_input_string(parser, input.baseAddress, input.count)
  }

  deinit {
    if isReady { yaml_parser_delete(parser) }
    parser.deallocate()
    input.deallocate()
  }

  func document() throws(YAMLError) -> YAMLNode {
    guard isReady else { throw fail("no memory to read the text") }
    _ = try next()
    let start = try next()
    guard start.type != YAML_STREAM_END_EVENT else { throw fail("the document is empty", at: start.mark) }
    let first = try next()
    let root = try node(first, depth: 1).node
    if case .scalar("", .plain) = root.kind { throw fail("the document is empty", at: root.mark) }
    _ = try next()
    let end = try next()
    guard end.type == YAML_STREAM_END_EVENT else {
      throw fail("a second document starts here; a file holds one", at: end.mark)
    }
    return root
  }

  // MARK: Nodes

  private typealias Measured = (node: YAMLNode, height: Int)

  private func node(_ event: Event, depth: Int) throws(YAMLError) -> Measured {
    guard depth <= YAMLNode.maximumDepth else {
      throw fail("nested deeper than \(YAMLNode.maximumDepth) levels", at: event.mark)
    }
    if event.type == YAML_ALIAS_EVENT { return try alias(event, depth: depth) }
    let before = count
    try add(1, at: event.mark)
    let measured: Measured
    switch event.type {
    case YAML_SCALAR_EVENT: measured = (try scalar(event), 1)
    case YAML_SEQUENCE_START_EVENT: measured = try sequence(event, depth: depth)
    case YAML_MAPPING_START_EVENT: measured = try mapping(event, depth: depth)
    default: throw fail("unexpected end", at: event.mark)
    }
    if !event.anchor.isEmpty {
      // Only now, so that a node cannot hold itself.
      anchors[event.anchor] = (measured.node, count - before, measured.height)
    }
    return measured
  }

  private func alias(_ event: Event, depth: Int) throws(YAMLError) -> Measured {
    guard let anchored = anchors[event.anchor] else {
      throw fail("'*\(event.anchor)' names nothing that is complete before it", at: event.mark)
    }
    guard depth + anchored.height - 1 <= YAMLNode.maximumDepth else {
      throw fail("nested deeper than \(YAMLNode.maximumDepth) levels", at: event.mark)
    }
    try add(anchored.count, at: event.mark)
    var node = anchored.node
    node.mark = event.mark
    return (node, anchored.height)
  }

  private func add(_ nodes: Int, at mark: Mark) throws(YAMLError) {
    count += nodes
    guard count <= YAMLNode.maximumNodes else { throw fail("more than \(YAMLNode.maximumNodes) nodes", at: mark) }
  }

  private func scalar(_ event: Event) throws(YAMLError) -> YAMLNode {
    switch event.tag {
    case "": return YAMLNode(.scalar(event.text, event.isPlain ? .plain : .quoted), mark: event.mark)
    case "!", "tag:yaml.org,2002:str": return YAMLNode(.scalar(event.text, .quoted), mark: event.mark)
    default: throw unknownTag(event)
    }
  }

  private func sequence(_ start: Event, depth: Int) throws(YAMLError) -> Measured {
    guard ["", "!", "tag:yaml.org,2002:seq"].contains(start.tag) else { throw unknownTag(start) }
    var items: [YAMLNode] = []
    var height = 0
    while true {
      let event = try next()
      if event.type == YAML_SEQUENCE_END_EVENT { break }
      let item = try node(event, depth: depth + 1)
      items.append(item.node)
      height = max(height, item.height)
    }
    return (YAMLNode(.sequence(items), mark: start.mark), height + 1)
  }

  private func mapping(_ start: Event, depth: Int) throws(YAMLError) -> Measured {
    guard ["", "!", "tag:yaml.org,2002:map"].contains(start.tag) else { throw unknownTag(start) }
    var entries: [YAMLNode.Entry] = []
    var places: [String: Mark] = [:]
    var height = 0
    while true {
      let event = try next()
      if event.type == YAML_MAPPING_END_EVENT { break }
      let key = try node(event, depth: depth + 1).node
      guard case .scalar(let text, let style) = key.kind else {
        throw fail("a key must be a word, not \(key.summary)", at: key.mark)
      }
      if text == "<<", style == .plain {
        throw fail("merge keys (<<) are not read; write the keys out", at: key.mark)
      }
      let value = try node(try next(), depth: depth + 1)
      if let first = places[text] {
        duplicates.append(fail("duplicate key '\(text)' (first at \(first))", at: key.mark))
        continue
      }
      places[text] = key.mark
      entries.append(.init(key: key, value: value.node))
      height = max(height, value.height)
    }
    return (YAMLNode(.mapping(entries), mark: start.mark), height + 1)
  }

  // MARK: Events

  /// What is used of a libyaml event, copied out of C memory.
  private struct Event {
    var type: yaml_event_type_t
    var mark: Mark
    var text = ""
    var isPlain = false
    var anchor = ""
    var tag = ""
  }

  private func next() throws(YAMLError) -> Event {
    var raw = yaml_event_t()
    guard yaml_parser_parse(parser, &raw) != 0 else { throw syntaxError() }
    defer { yaml_event_delete(&raw) }
    var event = Event(type: raw.type, mark: Mark(raw.start_mark))
    func string(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String {
      pointer.map { String(cString: $0) } ?? ""
    }
    switch raw.type {
    case YAML_ALIAS_EVENT: event.anchor = string(raw.data.alias.anchor)
    case YAML_SCALAR_EVENT:
      let scalar = raw.data.scalar
      // By length: a quoted scalar may hold a NUL.
      event.text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
      event.isPlain = scalar.style == YAML_PLAIN_SCALAR_STYLE
      event.anchor = string(scalar.anchor)
      event.tag = string(scalar.tag)
    case YAML_SEQUENCE_START_EVENT:
      event.anchor = string(raw.data.sequence_start.anchor)
      event.tag = string(raw.data.sequence_start.tag)
    case YAML_MAPPING_START_EVENT:
      event.anchor = string(raw.data.mapping_start.anchor)
      event.tag = string(raw.data.mapping_start.tag)
    default: break
    }
    return event
  }

  // MARK: Errors

  private func fail(_ message: String, at mark: Mark = Mark(line: 1, column: 1)) -> YAMLError {
    YAMLError(file: file, mark: mark, message: message)
  }

  private func unknownTag(_ event: Event) -> YAMLError {
    fail("the tag '\(event.tag)' is not known", at: event.mark)
  }

  private func syntaxError() -> YAMLError {
    let state = parser.pointee
    var message = state.problem.map { String(cString: $0) } ?? "no YAML"
    // The lowest layer knows the byte only, not the line.
    if state.error == YAML_READER_ERROR { return fail(message, at: mark(ofByte: state.problem_offset)) }
    if state.error == YAML_MEMORY_ERROR { return fail("no memory to read the text") }
    if isTab(at: Mark(state.problem_mark)) {
      return fail("a tab stands here; YAML is indented with spaces", at: Mark(state.problem_mark))
    }
    if let context = state.context {
      message += " (\(String(cString: context)) from \(Mark(state.context_mark)))"
    }
    return fail(message, at: Mark(state.problem_mark))
  }

  private func isTab(at mark: Mark) -> Bool {
    let lines = bytes.split(separator: UInt8(ascii: "\n"), maxSplits: mark.line, omittingEmptySubsequences: false)
    guard lines.indices.contains(mark.line - 1) else { return false }
    return String(decoding: lines[mark.line - 1], as: UTF8.self).unicodeScalars.dropFirst(mark.column - 1).first == "\t"
  }

  private func mark(ofByte offset: Int) -> Mark {
    let before = bytes.prefix(max(0, offset))
    let line = before.count { $0 == UInt8(ascii: "\n") } + 1
    let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    return Mark(line: line, column: String(decoding: before[lineStart...], as: UTF8.self).unicodeScalars.count + 1)
  }
}

extension Mark {
  fileprivate init(_ mark: yaml_mark_t) {
    self.init(line: Int(mark.line) + 1, column: Int(mark.column) + 1)
  }
}
