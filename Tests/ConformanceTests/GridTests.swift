import Catalog
import Conformance
import Files
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

@Suite struct GridTests {
  private static let grid = Result { try Grid(try Catalog.registry()) }

  /// No cell is silent, and the page says what was found.
  @Test func everyCellTrainsOrIsRefusedByARule() throws {
    let grid = try Self.grid.get()
    for cell in grid.starts + grid.subsets + grid.optimizers {
      if case .fails(let reason) = cell.outcome { Issue.record("\(cell.row) × \(cell.column): \(reason)") }
      if case .refused(let rule) = cell.outcome { #expect(rule.count > 20, "\(cell.row) × \(cell.column): \(rule)") }
    }
    let page = GridDocument.markdown(grid)
    let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
    let path = Folder.join(root, "docs/grid.md")
    if getenv("PEFT_WRITE_DOCS") != nil { try WholeFile.write(page, to: path) }
    let isCurrent = try TextFile.read(path) == page
    #expect(isCurrent, "docs/grid.md is out of date: \(GridDocument.command)")
  }

  /// What the grid is for: these must train whatever else is refused.
  @Test func targetsGoWithEveryProjectionThatApproximates() throws {
    let grid = try Self.grid.get()
    for projection in ["low-rank", "core", "wavelet", "walsh-hadamard", "spectrum, relu: false", "masked", "sparse-high-rank"] {
      for start in ["fill", "gradient", "first-step", "principal-weights"] {
        let cell = grid.starts.first { $0.row == projection && $0.column == start }
        #expect(cell?.outcome == .trains, "\(projection) × \(start)")
      }
    }
  }
}
