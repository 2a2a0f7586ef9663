import Files
import JSON
import Models
import PEFTKernel

/// Reading of images:
///
/// - a safetensors file with `images`, [n, height, width] or [n, channels, height, width], uint8 or numbers from 0 to 1, and
///   perhaps `labels`, [n] integers; its metadata may name them by `label_names`, a JSON list;
/// - a folder with a folder of PGM and PPM files for every class, named after it;
/// - JSON rows `{"image": "cats/1.ppm", "label": "cat"}`, paths as from the folder that the file is in.
public enum ImageData {
  /// The images of a source as `shape` reads them, `settings` applied, in the source's order (folders and files by the bytes of their
  /// names); and those that cannot be used. An error is what is wrong with the source as a whole.
  public static func inspect(
    _ path: String, for shape: ImageShape, settings: ImagePreprocessing
  ) throws(FileError) -> (rows: [DataRow], bad: [BadRow]) {
    var reader = ImageReader(path: path, shape: shape, settings: settings)
    if Folder.isFolder(path) {
      try reader.readFolder()
    } else if path.hasSuffix(".safetensors") {
      try reader.readTensors()
    } else if path.hasSuffix(".jsonl") || path.hasSuffix(".json") {
      try reader.readRows()
    } else if Folder.exists(path) {
      throw FileError(.badData, path, "holds no images that can be trained on", remedy: remedy)
    } else {
      throw FileError(.missing, path, "there is no such file or folder", remedy: remedy)
    }
    guard !reader.rows.isEmpty || !reader.bad.isEmpty else { throw FileError(.badData, path, "has no images", remedy: remedy) }
    return (reader.rows, reader.bad)
  }

  private static let remedy =
    "give a .safetensors file with `images`, a folder with a folder of images for every class, or a .jsonl file"
}

/// Collects the images of one source.
private struct ImageReader {
  let path: String
  let shape: ImageShape
  let settings: ImagePreprocessing

  var rows: [DataRow] = []
  var bad: [BadRow] = []

  /// Numbers that all images of one source may have: 8 GiB.
  private static let maximumNumbers = 1 << 31

  init(path: String, shape: ImageShape, settings: ImagePreprocessing) {
    self.path = path
    self.shape = shape
    self.settings = settings
  }

  /// Takes in one image, or notes why there is none. It is the row `line` of the source, or `place` is what it is called.
  private mutating func add(
    line: Int, place: String? = nil, label: String?, _ picture: () throws(FileError) -> Picture
  ) throws(FileError) {
    try checkCount(rows.count + 1)
    do throws(FileError) {
      let pixels = try pixels(of: try picture(), at: place ?? "\(path):\(line)")
      rows.append(DataRow(line: line, place: place, .image(pixels, label: label)))
    } catch {
      reject(line: line, place: place, error)
    }
  }

  /// Where an image's file is to blame, the row that names it is told beside it.
  private mutating func reject(line: Int, place: String?, _ error: FileError) {
    let own = [place ?? "\(path):\(line)", path].contains(error.path)
    bad.append(
      BadRow(path: place ?? path, line: place == nil ? line : nil, reason: own ? error.fault : "\(error.path) \(error.fault)"))
  }

  private func pixels(of picture: Picture, at place: String) throws(FileError) -> [Float] {
    do throws(Refusal) { return try settings.pixels(of: picture, for: shape) } catch {
      throw FileError(.badData, place, error.reason, remedy: error.remedy.isEmpty ? nil : error.remedy)
    }
  }

  private static func picture(in file: String) throws(FileError) -> Picture {
    let image = try NetpbmImage(file)
    return Picture(ImageShape(channels: image.channels, height: image.height, width: image.width), .levels(image.levels))
  }

  private func checkCount(_ count: Int) throws(FileError) {
    guard count <= Self.maximumNumbers / max(1, shape.count) else {
      throw FileError(
        .badData, path, "has more images than can be held", cause: "\(count) of \(shape.count) numbers each",
        remedy: "give fewer of them")
    }
  }
}

// MARK: - A folder for every class

extension ImageReader {
  fileprivate mutating func readFolder() throws(FileError) {
    for name in try visible(path) {
      let folder = Folder.join(path, name)
      guard Folder.isFolder(folder) else {
        // Licences and descriptions stand there; an image would be of no class.
        guard Self.endings.contains(where: { name.lowercased().hasSuffix($0) }) else { continue }
        throw FileError(.badData, folder, "is in no class", remedy: "put it into the folder of its class")
      }
      let files = try visible(folder)
      guard !files.isEmpty else {
        throw FileError(.badData, folder, "is a class without images", remedy: "put some into it, or remove it")
      }
      for file in files {
        let place = Folder.join(folder, file)
        guard !Folder.isFolder(place) else {
          throw FileError(
            .badData, place, "is a folder in the folder of a class", remedy: "put the images right into the class's")
        }
        try add(line: 0, place: place, label: name) { () throws(FileError) in try Self.picture(in: place) }
      }
    }
  }

  private static let endings = [
    ".pgm", ".ppm", ".pnm", ".pbm", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff",
  ]

  private func visible(_ folder: String) throws(FileError) -> [String] {
    try Folder.names(in: folder).filter { !$0.hasPrefix(".") }
  }
}

// MARK: - Rows

extension ImageReader {
  fileprivate mutating func readRows() throws(FileError) {
    var reader = try RowReader(path)
    let folder = Folder.split(path).folder
    while let row = try reader.next() {
      let place = "\(path):\(row.line)"
      do throws(FileError) {
        let (file, label) = try named(in: row.bytes, at: place)
        try add(line: row.line, label: label) { () throws(FileError) in try Self.picture(in: Folder.join(folder, file)) }
      } catch {
        guard error.path == place else { throw error }
        reject(line: row.line, place: nil, error)
      }
    }
  }

  /// The image that a row names, as it names it, and what it shows.
  private func named(in bytes: UnsafeRawBufferPointer, at place: String) throws(FileError) -> (file: String, label: String?) {
    let json: JSON
    do throws(JSONError) { json = try JSON(parsing: bytes) } catch {
      throw FileError(.badData, place, "is not JSON", cause: "\(error.message), column \(error.column)")
    }
    guard let file = json["image"]?.string, !file.isEmpty else {
      throw FileError(
        .badData, place, "has no \"image\"", remedy: "write rows such as {\"image\": \"cats/1.ppm\", \"label\": \"cat\"}")
    }
    // Rows are a stranger's, and could point anywhere.
    guard !file.hasPrefix("/"), !file.utf8.contains(0), !file.split(separator: "/").contains("..") else {
      throw FileError(
        .badData, place, "names the image '\(printable(file))', which is not below the file's own folder",
        remedy: "give paths relative to \(Folder.split(path).folder)")
    }
    switch json["label"] {
    case nil, .null?: return (file, nil)
    case .string(let text)? where !text.isEmpty: return (file, text)
    case .int(let number)?: return (file, String(number))
    case .bool(let value)?: return (file, String(value))
    default: throw FileError(.badData, place, "has a \"label\" that is no text, whole number or truth value")
    }
  }
}

// MARK: - Tensors

extension ImageReader {
  fileprivate mutating func readTensors() throws(FileError) {
    let file = try SafetensorsFile(path)
    guard let entry = file.entry("images") else {
      let found = file.tensors.prefix(10).map { printable($0.name, limit: 40) }.joined(separator: ", ")
      throw FileError(.badData, path, "has no tensor 'images'", cause: found.isEmpty ? nil : "it has \(found)")
    }
    let extents = entry.shape
    guard extents.count == 3 || extents.count == 4 else {
      throw FileError(
        .badData, path, "has images of shape \(extents)", remedy: "[n, height, width] or [n, channels, height, width] is wanted")
    }
    let one = ImageShape(
      channels: extents.count == 4 ? extents[1] : 1, height: extents[extents.count - 2], width: extents[extents.count - 1])
    // An extent of 0 makes products small, whatever the others are.
    guard extents.allSatisfy({ $0 > 0 }) else { throw FileError(.badData, path, "has images of shape \(extents)") }
    guard [.u8, .f64, .f32, .f16, .bf16].contains(entry.dtype) else {
      throw FileError(.badData, path, "has images of \(entry.dtype.rawValue)", remedy: "give U8, or numbers from 0 to 1 as F32")
    }
    try checkCount(extents[0])
    let shows = try labels(file, count: extents[0])
    for index in 0..<extents[0] {
      let place = "\(path): images[\(index)]"
      try add(line: 0, place: place, label: shows[index]) { () throws(FileError) in
        Picture(one, try Self.values(file, entry, index, one.count, place))
      }
    }
  }

  /// Those of one image.
  private static func values(
    _ file: SafetensorsFile, _ entry: TensorEntry, _ index: Int, _ count: Int, _ place: String
  ) throws(FileError) -> Picture.Values {
    let size = count * entry.dtype.size
    let start = entry.range.lowerBound + index * size
    if entry.dtype == .u8 { return .levels(file.file.withBytes { Array($0[start..<start + size]) }) }
    let numbers = file.file.withBytes { entry.dtype.floats(UnsafeRawBufferPointer(rebasing: $0[start..<start + size])) }
    if let bad = numbers.first(where: { !(0...1).contains($0) }) {
      throw FileError(.badData, place, "holds \(bad)", remedy: "give numbers from 0 to 1, or uint8")
    }
    return .numbers(numbers)
  }

  /// What each image shows, by name.
  private func labels(_ file: SafetensorsFile, count: Int) throws(FileError) -> [String?] {
    let names = try names(file)
    guard let entry = file.entry("labels") else { return [String?](repeating: nil, count: count) }
    guard entry.shape == [count] else {
      throw FileError(.badData, path, "has labels of shape \(entry.shape) for \(count) images", remedy: "[\(count)] is wanted")
    }
    let ids = try file.ints(of: "labels")
    guard let names else { return ids.map(String.init) }
    if let index = ids.firstIndex(where: { !names.indices.contains($0) }) {
      throw FileError(
        .badData, "\(path): labels[\(index)]", "is \(ids[index])", cause: "label_names has \(names.count) names")
    }
    return ids.map { names[$0] }
  }

  private func names(_ file: SafetensorsFile) throws(FileError) -> [String]? {
    guard let text = file.metadata["label_names"] else { return nil }
    guard let list = (try? JSON(parsing: text))?.array, case let found = list.compactMap(\.string), !list.isEmpty,
      found.count == list.count, Set(found).count == list.count
    else {
      throw FileError(
        .badData, path, "has a label_names in its metadata that is no JSON list of different names",
        cause: printable(text), remedy: "write [\"cat\", \"dog\"], say")
    }
    return found
  }
}
