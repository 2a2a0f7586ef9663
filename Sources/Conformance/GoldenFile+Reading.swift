import Engine
import Files
import JSON
import PEFTKernel

extension GoldenFile {
  /// Reads a reference file: tensors of any format, `method` and `config` from its metadata.
  public init(path: String) throws(FileError) {
    let file = try SafetensorsFile(path)
    guard let method = file.metadata["method"] else {
      throw FileError(.badData, path, "is no reference file", cause: "its metadata has no `method`")
    }
    let text = file.metadata["config"] ?? "{}"
    let config: JSON
    do { config = try JSON(parsing: text) } catch {
      throw FileError(.badData, path, "has a config that is no JSON", cause: "\(error)")
    }
    guard let members = config.members else { throw FileError(.badData, path, "has a config that is no mapping: \(text)") }
    var tensors: [String: Tensor] = [:]
    var integers: [String: [Int]] = [:]
    for entry in file.tensors {
      if entry.dtype.isInteger {
        integers[entry.name] = try file.ints(of: entry.name)
      } else {
        tensors[entry.name] = Tensor(try file.doubles(of: entry.name), shape: entry.shape, .float64)
      }
    }
    self.init(
      method: method, config: OptionValue(.object(members)).members, tensors: tensors, integers: integers)
  }

  /// The same file with its numbers in another scalar.
  func converted(to scalar: ScalarType) -> GoldenFile {
    var file = self
    file.tensors = tensors.mapValues { $0.converted(to: scalar) }
    return file
  }

  /// Every result the file states: outputs, gradients, merged weights, parts of the start, other expectations.
  var results: [String] {
    (tensors.names + integers.names).filter { name in
      ["y", "dx", "merged"].contains(name) || ["grad.", "initial.", "given.expect"].contains { name.hasPrefix($0) }
    }.sorted()
  }

  /// Tensors that neither the method's reader nor the comparison asked for.
  var unread: [String] {
    // Inputs are needed for some results only; results are answered for one by one.
    let others = Set(["weight", "x", "dy"] + results)
    return (tensors.unread + integers.unread).filter { !others.contains($0) }.sorted()
  }

  /// The first number that is none, in words.
  var notFinite: String? {
    for name in tensors.names {
      guard let values = tensors[name]?.values, let place = values.firstIndex(where: { !$0.isFinite }) else { continue }
      return "the file's own \(name) holds \(values[place]), at \(place) of \(values.count)"
    }
    return nil
  }
}

extension OptionValue {
  /// The value a JSON document states.
  init(_ json: JSON) {
    switch json {
    case .null: self = .null
    case .bool(let value): self = .bool(value)
    case .int(let value): self = .int(value)
    case .double(let value): self = .double(value)
    case .string(let value): self = .string(value)
    case .array(let values): self = .list(values.map(OptionValue.init))
    case .object(let members):
      self = .map(Dictionary(members.map { ($0.key, OptionValue($0.value)) }) { $1 })
    }
  }

  var members: [String: OptionValue] {
    guard case .map(let members) = self else { return [:] }
    return members
  }
}
