#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// What the system says of this process's memory, in bytes.
public struct ProcessMemory: Sendable {
  /// Resident pages of its own.
  public var anonymous: Int
  /// Resident pages of mapped files, the program itself among them.
  public var mapped: Int
  /// The most that ever was resident.
  public var peak: Int

  /// Nil where the system does not tell.
  public static var current: ProcessMemory? {
    guard let values = kibibytes("/proc/self/status"), let anonymous = values["RssAnon"], let peak = values["VmHWM"]
    else { return nil }
    return ProcessMemory(
      anonymous: anonymous << 10, mapped: ((values["RssFile"] ?? 0) + (values["RssShmem"] ?? 0)) << 10, peak: peak << 10)
  }

  /// Memory the machine has.
  public static var installed: Double { Double(sysconf(Int32(_SC_PHYS_PAGES))) * Double(sysconf(Int32(_SC_PAGESIZE))) }

  /// A file in /proc, which tells no size and so cannot be mapped; cut at 64 KiB, nil where it cannot be read.
  public static func text(_ path: String) -> String? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes[..<count], as: UTF8.self)
  }

  /// The lines `Name:  123 kB` of such a file.
  private static func kibibytes(_ path: String) -> [String: Int]? {
    guard let text = text(path) else { return nil }
    var values: [String: Int] = [:]
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 1)
      guard parts.count == 2, let number = parts[1].split(whereSeparator: { $0 == " " || $0 == "\t" }).first.flatMap({ Int($0) })
      else { continue }
      values[String(parts[0])] = number
    }
    return values
  }
}
