import Files
import Testing

@Suite struct FolderLockTests {
  @Test func oneHolderAtATime() throws {
    let scratch = try Scratch()
    let folder = scratch["a/b"]
    var lock: FolderLock? = try FolderLock(folder)
    #expect(lock != nil && Folder.isFolder(folder))
    let error = #expect(throws: FileError.self) { try FolderLock(folder) }
    #expect(error?.kind == .cannotCreate && error?.path == folder && error?.what == "another process is working there")
    lock = nil
    // What was made for the lock alone goes with it.
    #expect(!Folder.exists(scratch["a"]))
    lock = try FolderLock(folder)
    try WholeFile.write("kept", to: folder + "/file")
    lock = nil
    #expect(try Folder.names(in: folder) == ["file"])
  }

  @Test func whatAKilledProcessLeavesLocksNothing() throws {
    let scratch = try Scratch()
    try WholeFile.write("", to: scratch[".lock"])
    #expect(throws: Never.self) { try FolderLock(scratch.path) }
  }

  @Test func aFileIsNoFolder() throws {
    let scratch = try Scratch()
    try WholeFile.write("", to: scratch["file"])
    let error = #expect(throws: FileError.self) { try FolderLock(scratch["file/out"]) }
    #expect(error?.kind == .cannotCreate && error?.path == scratch["file"])
  }
}
