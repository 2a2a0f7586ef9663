import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The kernel knows no method: whatever it needed to know of one would be missing for the next.
@Suite struct NoMethodNamesTests {
  static let names = [
    "lora", "hydra", "salt", "wara", "qwha", "snell", "dora", "pissa", "galore", "vera", "shira", "paca", "s2ft", "randlora",
    "tera",
    "loldu", "olora", "mica", "fourierft", "waveft", "hype", "mosa", "remix", "matryoshka", "dylora", "fastfood", "squeeze",
  ]

  /// The words of a text in lower case, those in one another's company split at capitals.
  func words(_ text: String) -> Set<String> {
    Set(text.lowercased().split { !$0.isLetter && !$0.isNumber }.map(String.init))
  }

  @Test func theKernelNamesNone() throws {
    let folder = #filePath.replacing("Tests/PEFTKernelTests/NoMethodNamesTests.swift", with: "Sources/PEFTKernel")
    let stream = try #require(opendir(folder))
    defer { closedir(stream) }
    var files = 0
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      guard name.hasSuffix(".swift") else { continue }
      files += 1
      let text = try read("\(folder)/\(name)").lowercased()
      // `lora` in any company; the others as words, since `vera` is in "several" and `salt` in nothing we would miss.
      #expect(!text.contains("lora"), "\(name)")
      let found = words(text).intersection(Self.names)
      #expect(found.isEmpty, "\(name) names \(found.sorted().joined(separator: ", "))")
    }
    #expect(files > 5)
  }

  func read(_ path: String) throws -> String {
    let file = try #require(fopen(path, "r"))
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
    return String(decoding: bytes, as: UTF8.self)
  }
}
