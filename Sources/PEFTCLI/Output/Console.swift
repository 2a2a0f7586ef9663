import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Where a command writes: results to standard output, everything else to standard error.
public final class Console: Sendable {
  private enum Target: Sendable {
    case descriptors
    case memory
  }
  private struct State {
    var out = ""
    var err = ""
    var isClosed = false
    var failure: Int32?
    /// What stands on the terminal's last lines and is drawn again below every message.
    var footer = ""

    /// Takes the footer away, the cursor behind its end.
    var erasure: String {
      let breaks = footer.utf8.count { $0 == UInt8(ascii: "\n") }
      return breaks == 0 ? "\r\u{1B}[K" : "\r\u{1B}[\(breaks)A\u{1B}[J"
    }
  }
  private let target: Target
  private let state = Mutex(State())

  private init(_ target: Target) { self.target = target }

  /// The process's own.
  public static let standard = Console(.descriptors)

  /// A console that keeps what is written, for tests and for programs that call commands.
  public static func capturing() -> Console { Console(.memory) }

  /// What was printed so far, where it is kept.
  public var printed: String { state.withLock(\.out) }
  /// The notes so far, where they are kept.
  public var notes: String { state.withLock(\.err) }
  /// The system's word for why results could not be written; nil while they could, or when the reader left.
  public var failure: String? { state.withLock(\.failure).map { String(cString: strerror($0)) } }
  /// Whether the reader of the results has left.
  var isClosed: Bool { state.withLock(\.isClosed) }

  /// Whether progress can be drawn.
  var isTerminal: Bool { target == .descriptors && isatty(2) == 1 }

  /// Whether results may be coloured: they go to a terminal, and nobody asked for plain text (NO_COLOR).
  var hasColors: Bool {
    guard target == .descriptors, isatty(1) == 1, getenv("NO_COLOR").map({ $0.pointee == 0 }) ?? true else { return false }
    return getenv("TERM").map { String(cString: $0) != "dumb" } ?? true
  }

  /// Columns of the terminal.
  var width: Int {
    var size = winsize()
    guard target == .descriptors, ioctl(2, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }

  /// A line of results.
  func print(_ text: String = "") { write(text + "\n") }

  /// Results without an end of line.
  func write(_ text: String) {
    state.withLock { state in
      guard target == .descriptors else {
        state.out += text
        return
      }
      guard !state.isClosed, state.failure == nil else { return }
      if !state.footer.isEmpty, isatty(1) == 1 { send(state.erasure, to: 2) }
      if let code = send(text, to: 1) {
        if code == EPIPE { state.isClosed = true } else { state.failure = code }
      }
      if !state.footer.isEmpty { send(state.footer, to: 2) }
    }
  }

  /// A line for the reader, not for a program.
  func note(_ text: String) {
    state.withLock { state in
      guard target == .descriptors else {
        state.err += text + "\n"
        return
      }
      // In one write, so that lines of several processes stay whole.
      let erase = state.footer.isEmpty ? "" : state.erasure
      send(erase + text + "\n" + state.footer, to: 2)
    }
  }

  /// Draws the terminal's last line or lines anew; an empty text takes them away. No line may be wider than the terminal.
  func draw(_ footer: String) {
    state.withLock { state in
      guard footer != state.footer else { return }
      let erasure = state.erasure
      state.footer = footer
      send(erasure + footer, to: 2)
    }
  }

  /// Writes all of it; the error number where that could not be done.
  @discardableResult
  private func send(_ text: String, to descriptor: Int32) -> Int32? {
    var text = text
    return text.withUTF8 { bytes in
      var start = 0
      while start < bytes.count {
        #if canImport(Glibc)
          let written = Glibc.write(descriptor, bytes.baseAddress! + start, bytes.count - start)
        #else
          let written = Darwin.write(descriptor, bytes.baseAddress! + start, bytes.count - start)
        #endif
        if written < 0 {
          if errno == EINTR { continue }
          return errno
        }
        start += written
      }
      return nil
    }
  }
}
