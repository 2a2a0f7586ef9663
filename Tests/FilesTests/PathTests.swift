import Files
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

@Suite struct PathTests {
  @Test(arguments: [
    ("/a/Tools/../../corpus/x.jsonl", "/corpus/x.jsonl"), ("/a/./b//c/", "/a/b/c"), ("../x", "../x"), ("a/../../x", "../x"),
    ("/../x", "/x"), ("a/..", "."), ("/", "/"), ("", ""), ("./x", "x"),
  ])
  func detoursAreLeftOut(_ path: String, _ tidy: String) { #expect(Folder.tidied(path) == tidy) }

  @Test func linksAreNoDetours() throws {
    let scratch = try Scratch()
    try Folder.create(scratch["far/away"])
    try scratch.put("far/file", "x")
    try #require(symlink(scratch["far/away"], scratch["link"]) == 0)
    #expect(Folder.tidied(scratch["link/../file"]) == scratch["link/../file"])
    #expect(Folder.isFile(Folder.tidied(scratch["link/../file"])))
    #expect(Folder.tidied(scratch["far/away/../file"]) == scratch["far/file"])
  }
}
