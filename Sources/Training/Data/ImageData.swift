import Files
import JSON
import Models
import PEFTKernel

/// An image as a model reads it, with what it shows.
public struct LabelledImage: Sendable, Hashable {
  /// [channels, height, width], normalised.
  public var pixels: [Float]
  /// Which of the labels; nil where the data do not say.
  public var label: Int?
  /// Where it was read, for messages.
  public var place: String

  public init(pixels: [Float], label: Int?, place: String) {
    self.pixels = pixels
    self.label = label
    self.place = place
  }
}

/// Reading of images:
///
/// - a safetensors file with `images`, [n, height, width] or [n, channels, height, width], uint8 or numbers from 0 to 1, and
///   perhaps `labels`, [n] integers; its metadata may name them by `label_names`, a JSON list;
/// - a folder with a folder of PGM and PPM files for every class, named after it;
/// - JSON rows `{"image": "cats/1.ppm", "label": "cat"}`, paths as from the folder that the file is in.
public enum ImageData {
  /// The images of a source in its order (folders and files by the bytes of their names), and the labels that they are of.
  ///
  /// - Parameters:
  ///   - shape: What the model reads.
  ///   - settings: What its images go through before.
  ///   - labels: The names of the classes by their ids; an image of another is refused. Nil for those of the source: all
  ///     of `label_names`, else those that occur, numbers in order of size and names in order of their bytes.
  public static func read(
    _ path: String, for shape: ImageShape, settings: ImagePreprocessing, labels: [String]?
  ) throws(FileError) -> (images: [LabelledImage], labels: [String]) {
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
    return try reader.labelled(labels)
  }

  private static let remedy =
    "give a .safetensors file with `images`, a folder with a folder of images for every class, or a .jsonl file"
}

/// Collects the images of one source.
private struct ImageReader {
  let path: String
  let shape: ImageShape
  let settings: ImagePreprocessing

  /// Without labels yet.
  private var images: [LabelledImage] = []
  /// The names of what each of them shows.
  private var shown: [String?] = []
  /// All names, where the source lists them.
  private var names: [String]?
  /// Whether labels are numbers.
  private var isNumbered = false

  /// Numbers that all images of one source may have: 8 GiB.
  private static let maximumNumbers = 1 << 31

  init(path: String, shape: ImageShape, settings: ImagePreprocessing) {
    self.path = path
    self.shape = shape
    self.settings = settings
  }

  private mutating func add(_ picture: Picture, _ name: String?, at place: String) throws(FileError) {
    guard images.count < Self.maximumNumbers / max(1, shape.count) else {
      throw FileError(
        .badData, path, "has more images than can be held", cause: "\(images.count) of \(shape.count) numbers each",
        remedy: "give fewer of them")
    }
    let pixels: [Float]
    do throws(Refusal) { pixels = try settings.pixels(of: picture, for: shape) } catch {
      throw FileError(.badData, place, error.reason, remedy: error.remedy.isEmpty ? nil : error.remedy)
    }
    images.append(LabelledImage(pixels: pixels, label: nil, place: place))
    shown.append(name)
  }

  private mutating func add(file: String, _ name: String?, at place: String) throws(FileError) {
    let image = try NetpbmImage(file)
    let shape = ImageShape(channels: image.channels, height: image.height, width: image.width)
    try add(Picture(shape, .levels(image.levels)), name, at: place)
  }

  mutating func labelled(_ wanted: [String]?) throws(FileError) -> (images: [LabelledImage], labels: [String]) {
    guard !images.isEmpty else { throw FileError(.badData, path, "has no images") }
    let labels = wanted ?? names ?? occurring
    let ids = Dictionary(labels.enumerated().map { ($1, $0) }) { first, _ in first }
    for (index, name) in shown.enumerated() {
      guard let name else { continue }
      guard let id = ids[name] else {
        let known = labels.prefix(20).map { printable($0, limit: 40) }.joined(separator: ", ")
        throw FileError(
          .badData, images[index].place, "is of '\(printable(name))', which is none of the labels",
          cause: "they are \(known)\(labels.count > 20 ? ", …" : "")", remedy: "take it out, or add the label")
      }
      images[index].label = id
    }
    return (images, labels)
  }

  private var occurring: [String] {
    let found = Set(shown.compactMap(\.self))
    if isNumbered { return found.compactMap { Int($0) }.sorted().map(String.init) }
    return found.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
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
        try add(file: place, name, at: place)
      }
    }
    guard !images.isEmpty else {
      throw FileError(.badData, path, "has no images", remedy: "give it a folder of PGM or PPM files for every class")
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
      let json: JSON
      do throws(JSONError) { json = try JSON(parsing: row.bytes) } catch {
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
          remedy: "give paths relative to \(folder)")
      }
      var name: String?
      switch json["label"] {
      case nil, .null?: break
      case .string(let text)? where !text.isEmpty: name = text
      case .int(let number)?: name = String(number)
      case .bool(let value)?: name = String(value)
      default: throw FileError(.badData, place, "has a \"label\" that is no text, whole number or truth value")
      }
      do throws(FileError) { try add(file: Folder.join(folder, file), name, at: place) } catch {
        guard error.path != place, error.path != path else { throw error }
        // Both are told: the row that names the file, and the file.
        throw FileError(error.kind, place, "\(error.path) \(error.what)", cause: error.cause, remedy: error.remedy)
      }
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
    guard extents[0] <= Self.maximumNumbers / max(1, shape.count) else {
      throw FileError(
        .badData, path, "has more images than can be held", cause: "\(extents[0]) of \(shape.count) numbers each",
        remedy: "give fewer of them")
    }
    let shows = try labels(file, count: extents[0])
    for index in 0..<extents[0] {
      let place = "\(path): images[\(index)]"
      try add(Picture(one, try values(file, entry, index, one.count, place)), shows[index], at: place)
    }
  }

  /// Those of one image.
  private func values(
    _ file: SafetensorsFile, _ entry: TensorEntry, _ index: Int, _ count: Int, _ place: String
  ) throws(FileError) -> Picture.Values {
    let size = count * entry.dtype.size
    let start = entry.range.lowerBound + index * size
    switch entry.dtype {
    case .u8: return .levels(file.file.withBytes { Array($0[start..<start + size]) })
    case .f64, .f32, .f16, .bf16:
      let numbers = file.file.withBytes { entry.dtype.floats(UnsafeRawBufferPointer(rebasing: $0[start..<start + size])) }
      if let bad = numbers.first(where: { !(0...1).contains($0) }) {
        throw FileError(.badData, place, "holds \(bad)", remedy: "give numbers from 0 to 1, or uint8")
      }
      return .numbers(numbers)
    default:
      throw FileError(.badData, path, "has images of \(entry.dtype.rawValue)", remedy: "give U8, or numbers from 0 to 1 as F32")
    }
  }

  /// What each image shows, by name.
  private mutating func labels(_ file: SafetensorsFile, count: Int) throws(FileError) -> [String?] {
    try readNames(file)
    guard let entry = file.entry("labels") else { return [String?](repeating: nil, count: count) }
    guard entry.shape == [count] else {
      throw FileError(.badData, path, "has labels of shape \(entry.shape) for \(count) images", remedy: "[\(count)] is wanted")
    }
    let ids = try file.ints(of: "labels")
    guard let names else {
      isNumbered = true
      return ids.map(String.init)
    }
    if let index = ids.firstIndex(where: { !names.indices.contains($0) }) {
      throw FileError(
        .badData, "\(path): labels[\(index)]", "is \(ids[index])", cause: "label_names has \(names.count) names")
    }
    return ids.map { names[$0] }
  }

  private mutating func readNames(_ file: SafetensorsFile) throws(FileError) {
    guard let text = file.metadata["label_names"] else { return }
    guard let list = (try? JSON(parsing: text))?.array, case let found = list.compactMap(\.string), !list.isEmpty,
      found.count == list.count, Set(found).count == list.count
    else {
      throw FileError(
        .badData, path, "has a label_names in its metadata that is no JSON list of different names",
        cause: printable(text), remedy: "write [\"cat\", \"dog\"], say")
    }
    names = found
  }
}
