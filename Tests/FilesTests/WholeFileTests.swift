import Testing

@testable import Files

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

@Suite struct WholeFileTests {
  @Test func appearsOnlyWhenWhole() throws {
    let scratch = try Scratch()
    try scratch.put("f", "old")
    let file = try WholeFile(scratch["f"])
    try file.write(String(repeating: "x", count: 100_000))
    try file.write("yz")
    #expect(try TextFile.read(scratch["f"]) == "old")
    #expect(try scratch.names().count == 2)
    #expect(file.count == 100_002)
    try file.commit()
    #expect(try TextFile.read(scratch["f"]) == String(repeating: "x", count: 100_000) + "yz")
    #expect(try scratch.names() == ["f"])
  }

  @Test func leavesNothingWhenDropped() throws {
    let scratch = try Scratch()
    try scratch.put("f", "old")
    do {
      let file = try WholeFile(scratch["f"])
      try file.write("new")
    }
    #expect(try scratch.names() == ["f"])
    #expect(try TextFile.read(scratch["f"]) == "old")
  }

  /// What is no file is not replaced by one.
  @Test func pipesAreWrittenInto() throws {
    let scratch = try Scratch()
    try #require(mkfifo(scratch["pipe"], 0o600) == 0)
    let reader = open(scratch["pipe"], O_RDWR)
    defer { close(reader) }
    try WholeFile.write("through", to: scratch["pipe"])
    var bytes = [UInt8](repeating: 0, count: 16)
    #expect(read(reader, &bytes, 16) == 7 && bytes.prefix(7).elementsEqual("through".utf8))
    #expect(try scratch.names() == ["pipe"] && !Folder.isFile(scratch["pipe"]))
  }

  @Test func namesWhatCannotBeCreated() throws {
    let scratch = try Scratch()
    func write(_ path: String) -> String? { message(scratch) { try WholeFile.write("x", to: path) } }
    #expect(
      write(scratch["no/f"]) == "no/f: cannot be created (No such file or directory); create the folder no first")
    #expect(write(scratch.path) == "DIR: is a folder, not a file")
    #expect(write(scratch["f/"]) == "f/: names no file")
    #expect(write("") == ": names no file")
    #expect(write(scratch["a\0b"]) == "a\\u{0}b: is no path")
    #expect(try scratch.names() == [])
  }

  /// Disk full, from the system itself: this device takes nothing.
  @Test(.enabled(if: Folder.exists("/dev/full"))) func tellsOfAFullDisk() throws {
    let error = #expect(throws: FileError.self) {
      let full = try Descriptor("/dev/full", O_WRONLY, failure: .cannotCreate, "cannot be created")
      try withUnsafeBytes(of: 1) { try full.write($0) }
    }
    #expect(error?.kind == .io)
    #expect(
      error?.description
        == "/dev/full: cannot be written: the disk is full (No space left on device); free some space and run again")
    let large = FileError.system(.cannotCreate, "f", "cannot be written", errno: EFBIG)
    #expect(large.kind == .io)
    #expect(
      large.description
        == "f: cannot be written: a file may not grow that large here (File too large); raise the limit (ulimit -f)")
  }
}

@Suite struct AtomicDirectoryTests {
  @Test func appearsOnlyWhenWhole() throws {
    let scratch = try Scratch()
    let directory = try AtomicDirectory(scratch["a/b/"])
    try WholeFile.write("1", to: directory.partial + "/x")
    try Folder.create(directory.partial + "/sub")
    try WholeFile.write("2", to: directory.partial + "/sub/y")
    #expect(!Folder.exists(scratch["a/b"]))
    try directory.commit()
    #expect(directory.path == scratch["a/b"])
    #expect(try Folder.names(in: scratch["a"]) == ["b"])
    #expect(try Folder.names(in: scratch["a/b"]) == ["sub", "x"])
    #expect(try TextFile.read(scratch["a/b/sub/y"]) == "2")
  }

  @Test func leavesNothingWhenDropped() throws {
    let scratch = try Scratch()
    do {
      let directory = try AtomicDirectory(scratch["b"])
      try WholeFile.write("1", to: directory.partial + "/x")
    }
    #expect(try scratch.names() == [])
  }

  @Test func replacesOnlyWhenAsked() throws {
    let scratch = try Scratch()
    try Folder.create(scratch["b"])
    try scratch.put("b/old", "old")
    #expect(message(scratch) { _ = try AtomicDirectory(scratch["b"]) } == "b: exists already; choose another name or remove it")
    let directory = try AtomicDirectory(scratch["b"], existing: .replace, owns: { $0 == "old" || $0 == "x" })
    try WholeFile.write("new", to: directory.partial + "/x")
    #expect(Folder.exists(scratch["b/old"]))
    try directory.commit()
    #expect(try Folder.names(in: scratch["b"]) == ["x"])
    #expect(try scratch.names() == ["b"])
  }

  @Test func replacesFoldersOfWhatIsOwned() throws {
    let scratch = try Scratch()
    try Folder.create(scratch["b/part"])
    try scratch.put("b/part/y", "old")
    func refusal() -> String? {
      message(scratch) {
        let directory = try AtomicDirectory(scratch["b"], existing: .replace, owns: { ["x", "part/y"].contains($0) })
        try WholeFile.write("new", to: directory.partial + "/x")
        try directory.commit()
      }
    }
    try scratch.put("b/part/z", "mine")
    #expect(refusal()?.contains("it holds 'part', which is nothing that is written there") == true)
    try Folder.remove(scratch["b/part/z"])
    let directory = try AtomicDirectory(scratch["b"], existing: .replace, owns: { ["x", "part/y"].contains($0) })
    try WholeFile.write("new", to: directory.partial + "/x")
    try directory.commit()
    #expect(try Folder.names(in: scratch["b"]) == ["x"])
  }

  @Test func replacesNothingOfOthers() throws {
    let scratch = try Scratch()
    try Folder.create(scratch["b/sub"])
    try scratch.put("b/notes.txt", "mine")
    func refusal(_ path: String, _ inputs: [String] = []) -> String? {
      message(scratch) {
        _ = try AtomicDirectory(
          scratch[path], existing: .replace, owns: { $0 == "x" || $0 == "sub" }, inputs: inputs.map { scratch[$0] })
      }
    }
    func strange(_ name: String) -> String {
      "b: is not replaced: it holds '\(name)', which is nothing that is written there; choose another name or remove it"
    }
    #expect(refusal("b") == strange("notes.txt"))
    try Folder.remove(scratch["b/notes.txt"])
    // A folder in it, whatever it is called.
    #expect(refusal("b") == strange("sub"))
    #expect(symlink("b", scratch["link"]) == 0)
    #expect(refusal("b", ["link"]) == "b: is an input and is not replaced; write to another folder")
    #expect(refusal("link", ["b/sub"]) == "link: contains an input and is not replaced (b/sub); write to another folder")
    #expect(refusal("b", ["bb"]) == strange("sub"))
    #expect(try scratch.names() == ["b", "link"])
  }

  @Test func linksStayAndAreFollowed() throws {
    let scratch = try Scratch()
    try Folder.create(scratch["far/real"])
    try scratch.put("far/real/x", "old")
    for (link, target) in [("link", "far/real"), ("dangling", "far/none")] {
      #expect(symlink(target, scratch[link]) == 0)
      let directory = try AtomicDirectory(scratch[link], existing: .replace, owns: { $0 == "x" })
      try WholeFile.write("new", to: directory.partial + "/x")
      try directory.commit()
      #expect(try TextFile.read(scratch[target + "/x"]) == "new")
    }
    #expect(symlink("far/real/x", scratch["file"]) == 0 && symlink("none", scratch["nothing"]) == 0)
    try WholeFile.write("newer", to: scratch["file"])
    try WholeFile.write("first", to: scratch["nothing"])
    #expect(try TextFile.read(scratch["far/real/x"]) == "newer" && TextFile.read(scratch["none"]) == "first")
    #expect(try scratch.names() == ["dangling", "far", "file", "link", "none", "nothing"])
    #expect(try Folder.names(in: scratch["far"]) == ["none", "real"])
    for link in ["dangling", "file", "link", "nothing"] { #expect(Folder.followed(scratch[link]) != scratch[link]) }
  }

  @Test func refusesWhatCameMeanwhile() throws {
    let scratch = try Scratch()
    let directory = try AtomicDirectory(scratch["b"])
    try Folder.create(scratch["b"])
    try scratch.put("b/theirs", "x")
    #expect(message(scratch) { try directory.commit() } == "b: exists already; choose another name or remove it")
    #expect(try scratch.names() == ["b"])
    #expect(try Folder.names(in: scratch["b"]) == ["theirs"])
  }

  @Test func refusesNamesThatAreNone() throws {
    let scratch = try Scratch()
    try scratch.put("file", "x")
    for path in ["", ".", "..", "/", scratch["."]] {
      #expect(message(scratch) { _ = try AtomicDirectory(path) }?.hasSuffix(": names no new folder") == true)
    }
    #expect(message(scratch) { _ = try AtomicDirectory(scratch["file"]) } == "file: is a file; a folder is to be written there")
    #expect(
      message(scratch) { _ = try AtomicDirectory(scratch["file/b"]) }
        == "file: is no folder (there is a file of that name); choose another folder")
  }

  @Test func removesLinksWithoutFollowingThem() throws {
    let scratch = try Scratch()
    try Folder.create(scratch["kept"])
    try scratch.put("kept/x", "x")
    try Folder.create(scratch["gone"])
    #expect(symlink(scratch["kept"], scratch["gone/link"]) == 0)
    try Folder.remove(scratch["gone"])
    #expect(try scratch.names() == ["kept"])
    #expect(Folder.exists(scratch["kept/x"]))
  }

  @Test func splitsPaths() {
    for (path, folder, name) in [
      ("x", ".", "x"), ("/x", "/", "x"), ("a/x/", "a", "x"), ("/", "/", ""), ("", ".", ""), ("a//", ".", "a"), ("./x", ".", "x"),
      ("a/\u{301}b", "a", "\u{301}b"),
    ] {
      #expect(Folder.split(path) == (folder, name))
    }
  }
}
