import CKernels

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The one place that decides how work is spread over cores.
///
/// Our own loops are split over rows that do not depend on each other, and matrix products over their longer side at
/// places that follow from their shape alone, with the BLAS itself kept single-threaded: there is one level of
/// parallelism at a time, and results do not depend on its width.
public enum Threads {
  /// Cores this process may use, or what `PEFT_THREADS` says.
  public static let count: Int = {
    if let text = getenv("PEFT_THREADS"), let asked = Int(String(cString: text)), asked > 0 { return min(asked, 256) }
    return Int(cpu_count())
  }()

  /// Below this many elements of light arithmetic a second core costs more than it brings (measured: about 20,000).
  static let grain = 20_000

  /// Calls `body` with ranges that together cover `0..<rows`, on several cores if `rows * cost` elements are worth it.
  static func split(_ rows: Int, cost: Int, _ body: (Range<Int>) -> Void) {
    let parts = min(count, rows, max(1, rows * max(1, cost) / grain))
    guard parts > 1 else {
      if rows > 0 { body(0..<rows) }
      return
    }
    let share = (rows + parts - 1) / parts
    Crew.shared.perform(parts, width: parts) { part in
      let start = part * share
      if start < rows { body(start..<min(rows, start + share)) }
    }
  }

  /// Calls `body` once for each index, on at most `width` cores, handing out indices as cores become free.
  static func each(_ iterations: Int, width: Int = count, _ body: (Int) -> Void) {
    Crew.shared.perform(iterations, width: width, body)
  }

  /// What `body` makes of each index, on as many cores as there are. Whatever it calls runs on one core.
  public static func map<Value: Sendable>(_ count: Int, _ body: @Sendable (Int) -> Value) -> [Value] {
    var values = [Value?](repeating: nil, count: count)
    values.withUnsafeMutableBufferPointer { places in
      // Each place is written once.
      nonisolated(unsafe) let places = places
      each(count) { places[$0] = body($0) }
    }
    return values.compactMap(\.self)
  }
}
