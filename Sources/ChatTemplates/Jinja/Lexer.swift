/// A piece of a template.
struct Token: Sendable {
  enum Kind: Sendable, Equatable {
    /// Text between the tags, to be put out as it stands.
    case data(String)
    case blockBegin
    case blockEnd
    case variableBegin
    case variableEnd
    case name(String)
    case string(String)
    case integer(Int)
    case float(Double)
    case symbol(String)
    case end
  }
  var kind: Kind
  var line: Int

  /// For messages.
  var text: String {
    switch kind {
    case .data: "text"
    case .blockBegin: "{%"
    case .blockEnd: "%}"
    case .variableBegin: "{{"
    case .variableEnd: "}}"
    case .name(let text), .symbol(let text): text
    case .string: "a string"
    case .integer, .float: "a number"
    case .end: "the end of the template"
    }
  }
}

/// Divides a template as jinja2 does with `trim_blocks` and `lstrip_blocks`, which is how `transformers` renders chats.
struct Lexer {
  private let source: [Unicode.Scalar]
  private var at = 0
  private var line = 1
  private var tokens: [Token] = []
  /// Whether what was read last ended with a line's end.
  private var startsLine = true

  static func tokens(of source: String) throws(TemplateError) -> [Token] {
    var lexer = Lexer(source)
    try lexer.read()
    return lexer.tokens
  }

  private init(_ text: String) {
    var source: [Unicode.Scalar] = []
    var last: Unicode.Scalar?
    for scalar in text.unicodeScalars {
      // Every way to end a line is one `\n`.
      if scalar == "\n", last == "\r" {
        last = scalar
        continue
      }
      source.append(scalar == "\r" ? "\n" : scalar)
      last = scalar
    }
    if source.last == "\n" { source.removeLast() }
    self.source = source
  }

  private mutating func read() throws(TemplateError) {
    while at < source.count {
      let start = at
      while at < source.count, !isTag(at) { at += 1 }
      guard at < source.count else {
        add(.data(text(start..<source.count)))
        break
      }
      let kind = source[at + 1]
      let sign = scalar(at + 2)
      var end = at
      if sign == "-" {
        while end > start, PythonText.isSpace(source[end - 1]) { end -= 1 }
      } else if sign != "+", kind != "{" {
        // White space between a line's beginning and a block goes, where there is nothing else.
        var edge = end
        while edge > start, source[edge - 1] != "\n", PythonText.isSpace(source[edge - 1]) { edge -= 1 }
        if edge == start ? startsLine : source[edge - 1] == "\n" { end = edge }
      }
      if end > start { add(.data(text(start..<end))) }
      line += source[start..<at].count { $0 == "\n" }
      at += sign == "-" || sign == "+" ? 3 : 2
      switch kind {
      case "#": try comment()
      case "%": try tag(.blockBegin, .blockEnd, "%")
      default: try tag(.variableBegin, .variableEnd, "}")
      }
      startsLine = at > 0 && source[at - 1] == "\n"
    }
    add(.end)
  }

  private func isTag(_ index: Int) -> Bool {
    source[index] == "{" && index + 1 < source.count && ["{", "%", "#"].contains(source[index + 1])
  }

  private func scalar(_ index: Int) -> Unicode.Scalar? { index < source.count ? source[index] : nil }

  private func text(_ range: Range<Int>) -> String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: source[range])
    return String(view)
  }

  private mutating func add(_ kind: Token.Kind) { tokens.append(Token(kind: kind, line: line)) }

  private mutating func comment() throws(TemplateError) {
    let (start, first) = (line, at)
    while at < source.count {
      if source[at] == "#", scalar(at + 1) == "}" {
        // The sign of the comment's beginning is none of its end's.
        let sign = at > first ? source[at - 1] : nil
        at += 2
        skipBehind(sign, trims: true)
        return
      }
      if source[at] == "\n" { line += 1 }
      at += 1
    }
    throw TemplateError(.template, line: start, "a comment is not closed by #}")
  }

  /// Passes over what a tag's end takes with it.
  private mutating func skipBehind(_ sign: Unicode.Scalar?, trims: Bool) {
    if sign == "-" {
      while let next = scalar(at), PythonText.isSpace(next) {
        if next == "\n" { line += 1 }
        at += 1
      }
    } else if sign != "+", trims, scalar(at) == "\n" {
      line += 1
      at += 1
    }
  }

  private mutating func tag(_ begin: Token.Kind, _ end: Token.Kind, _ mark: Unicode.Scalar) throws(TemplateError) {
    add(begin)
    var open: [Unicode.Scalar] = []
    while at < source.count {
      if open.isEmpty, try closes(end, mark) { return }
      let next = source[at]
      if PythonText.isSpace(next) {
        if next == "\n" { line += 1 }
        at += 1
      } else if isDigit(next) {
        try number()
      } else if isWord(next) {
        let start = at
        while let next = scalar(at), isWord(next) { at += 1 }
        add(.name(text(start..<at)))
      } else if next == "'" || next == "\"" {
        try string(next)
      } else {
        try symbol(&open)
      }
    }
    throw TemplateError(.template, line: line, "a tag is not closed by \(mark)}")
  }

  /// Whether the tag ends here; its end is then read.
  private mutating func closes(_ end: Token.Kind, _ mark: Unicode.Scalar) throws(TemplateError) -> Bool {
    let sign = scalar(at)
    let isSigned = (sign == "-" || (sign == "+" && mark == "%")) && scalar(at + 1) == mark && scalar(at + 2) == "}"
    guard isSigned || (sign == mark && scalar(at + 1) == "}") else { return false }
    at += isSigned ? 3 : 2
    add(end)
    skipBehind(isSigned ? sign : nil, trims: mark == "%")
    return true
  }

  private mutating func symbol(_ open: inout [Unicode.Scalar]) throws(TemplateError) {
    for pair in ["//", "**", "==", "!=", ">=", "<="] where text(at..<min(at + 2, source.count)) == pair {
      at += 2
      return add(.symbol(pair))
    }
    let next = source[at]
    switch next {
    case "(": open.append(")")
    case "[": open.append("]")
    case "{": open.append("}")
    case ")", "]", "}":
      guard open.popLast() == next else { throw TemplateError(.template, line: line, "unexpected `\(next)`") }
    case "+", "-", "/", "*", "%", "~", ">", "<", "=", ".", ":", "|", ",", ";": break
    default:
      throw TemplateError(.template, line: line, "unexpected character U+\(String(next.value, radix: 16, uppercase: true))")
    }
    at += 1
    add(.symbol(String(next)))
  }

  private func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }

  private func isWord(_ scalar: Unicode.Scalar) -> Bool {
    isDigit(scalar) || ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || scalar == "_"
  }

  /// Decimal numbers, which are all that templates write.
  private mutating func number() throws(TemplateError) {
    let start = at
    func skipDigits(_ lexer: inout Lexer) { while let next = lexer.scalar(lexer.at), lexer.isDigit(next) { lexer.at += 1 } }
    skipDigits(&self)
    var isFloat = false
    if scalar(at) == ".", scalar(at + 1).map(isDigit) == true, start == 0 || source[start - 1] != "." {
      isFloat = true
      at += 1
      skipDigits(&self)
    }
    let written = text(start..<at)
    if scalar(at).map(isWord) == true || (!isFloat && written.count > 1 && written.hasPrefix("0")) {
      throw TemplateError(.template, line: line, "numbers are read in their plain decimal form only")
    }
    if isFloat, let value = Double(written) { return add(.float(value)) }
    guard let value = Int(written) else { throw TemplateError(.template, line: line, "the number \(written) is too large") }
    add(.integer(value))
  }

  private mutating func string(_ quote: Unicode.Scalar) throws(TemplateError) {
    let start = line
    at += 1
    var out = String.UnicodeScalarView()
    while let next = scalar(at) {
      at += 1
      if next == quote {
        tokens.append(Token(kind: .string(String(out)), line: start))
        return
      }
      if next == "\n" { line += 1 }
      if next == "\\" { try escape(into: &out) } else { out.append(next) }
    }
    throw TemplateError(.template, line: start, "a string is not closed")
  }

  /// Python's escapes; an unknown one stays as it is written.
  private mutating func escape(into out: inout String.UnicodeScalarView) throws(TemplateError) {
    guard let kind = scalar(at) else { return }
    at += 1
    switch kind {
    case "\n": line += 1
    case "\\", "'", "\"": out.append(kind)
    case "n": out.append("\n")
    case "r": out.append("\r")
    case "t": out.append("\t")
    case "a": out.append("\u{7}")
    case "b": out.append("\u{8}")
    case "f": out.append("\u{C}")
    case "v": out.append("\u{B}")
    case "x", "u", "U":
      let width = kind == "x" ? 2 : kind == "u" ? 4 : 8
      let digits = text(at..<min(at + width, source.count))
      guard digits.unicodeScalars.count == width, digits.allSatisfy(\.isHexDigit), let value = UInt32(digits, radix: 16),
        let scalar = Unicode.Scalar(value)
      else { throw TemplateError(.template, line: line, "\\\(kind) needs \(width) hexadecimal digits of a character") }
      at += width
      out.append(scalar)
    case "0"..."7", "N": throw TemplateError(.template, line: line, "the escape \\\(kind) is not supported")
    default:
      out.append("\\")
      out.append(kind)
    }
  }
}
