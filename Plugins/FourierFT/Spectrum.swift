import Blocks
import Engine
import Synchronization

/// The waves of one axis that a spectrum is made of: cos(2π·f·p/n) for each frequency f, then sin(2π·f·p/n) for those that have one.
struct AxisWaves: Hashable, Sendable {
  /// n.
  let length: Int
  /// Ascending, 0…n/2.
  let frequencies: [Int]

  /// All waves where most occur, so that sites share them; else those that do.
  init(length: Int, of places: [Int]) {
    self.length = length
    let used = Set(places.map { min($0, length - $0) }).sorted()
    frequencies = 2 * used.count > length / 2 ? Array(0...length / 2) : used
  }

  var name: String { frequencies.count == length / 2 + 1 ? "\(length)" : "\(length) \(frequencies)" }

  /// The frequencies that have a sine: those of 0 and n/2 vanish.
  var sines: [Int] { frequencies.filter { $0 > 0 && 2 * $0 < length } }

  var count: Int { frequencies.count + sines.count }

  /// Frequency → its place among the waves, as a cosine and as a sine.
  var cosinePlaces: [Int: Int] { Dictionary(uniqueKeysWithValues: frequencies.enumerated().map { ($1, $0) }) }
  var sinePlaces: [Int: Int] {
    Dictionary(uniqueKeysWithValues: sines.enumerated().map { ($1, frequencies.count + $0) })
  }

  /// [count, length], from one table of a turn, so that no argument is large.
  func matrix(_ scalar: ScalarType) -> Tensor {
    let turn = (0..<length).map { Wave.at(Double($0) / Double(length)) }
    func row(_ frequency: Int, _ part: KeyPath<Wave, Double>) -> [Double] {
      (0..<length).map { turn[frequency * $0 % length][keyPath: part] }
    }
    let rows = frequencies.flatMap { row($0, \.cosine) } + sines.flatMap { row($0, \.sine) }
    return Tensor(rows, shape: [count, length], scalar)
  }
}

/// What numbers at some places of S become: entries of a sparse matrix between the waves of both axes.
///
/// Numbers at (r, c) and (out − r, in − c) make the same wave, those at (r, in − c) and (out − r, c) another of the same frequencies:
/// an entry is a sum, or a difference, of up to four.
struct Spectrum: Sendable {
  let rows: AxisWaves
  let columns: AxisWaves
  /// Of the entries, in [rows.count, columns.count].
  let places: SparsePlaces
  /// Which numbers an entry sums up, in [entries, numbers], and with what sign.
  private let sums: SparsePlaces
  private let signs: Tensor

  /// The entries for numbers θ [n].
  func values(of theta: Tensor) -> Tensor {
    let entries = theta.reshaped([1, theta.count]).sparse(
      signs.converted(to: theta.scalar), at: sums, addedTo: .zeros([1, places.count], theta.scalar))
    return entries.reshaped([places.count])
  }

  /// Of numbers at `list`, places in [outputs, inputs] counted in row-major order.
  init(_ list: [Int], outputs: Int, inputs: Int) {
    let at = list.map { (row: $0 / inputs, column: $0 % inputs) }
    rows = AxisWaves(length: outputs, of: at.map(\.row))
    columns = AxisWaves(length: inputs, of: at.map(\.column))
    let width = columns.count
    // Entry, counted in row-major order → numbers and signs, numbers ascending.
    var terms: [Int: [(number: Int, sign: Double)]] = [:]
    let (rowCosines, columnCosines) = (rows.cosinePlaces, columns.cosinePlaces)
    let (rowSines, columnSines) = (rows.sinePlaces, columns.sinePlaces)
    for (number, place) in at.enumerated() {
      let (r, c) = (min(place.row, outputs - place.row), min(place.column, inputs - place.column))
      if let i = rowCosines[r], let j = columnCosines[c] { terms[i * width + j, default: []].append((number, 1)) }
      guard let i = rowSines[r], let j = columnSines[c] else { continue }
      let isTurned = (2 * place.row > outputs) != (2 * place.column > inputs)
      terms[i * width + j, default: []].append((number, isTurned ? 1 : -1))
    }
    let entries = terms.keys.sorted()
    let all = entries.enumerated().flatMap { entry, key in terms[key, default: []].map { (entry, $0.number, $0.sign) } }
    func places(_ rows: [Int], _ columns: [Int], _ outputs: Int, _ inputs: Int) -> SparsePlaces {
      let index = Tensor(rows.map(Double.init) + columns.map(Double.init), shape: [2, rows.count], .float64)
      guard let places = SparsePlaces(index, outputs: outputs, inputs: inputs) else {
        preconditionFailure("entries of a spectrum are not in order")
      }
      return places
    }
    self.places = places(entries.map { $0 / width }, entries.map { $0 % width }, rows.count, width)
    sums = places(all.map(\.0), all.map(\.1), entries.count, list.count)
    signs = Tensor(all.map(\.2), .float64)
  }
}

/// Spectra and waves by what they follow from, each made when it is first asked for: sites of one shape have the same.
final class MadeSpectra: Sendable {
  private struct Key: Hashable {
    var outputs: Int
    var inputs: Int
    var count: Int
    var seed: UInt64
  }
  private struct WavesKey: Hashable {
    var waves: AxisWaves
    var scalar: ScalarType
  }
  private let spectra = Mutex<[Key: Spectrum]>([:])
  private let waves = Mutex<[WavesKey: Tensor]>([:])

  func spectrum(outputs: Int, inputs: Int, count: Int, seed: UInt64) -> Spectrum {
    let key = Key(outputs: outputs, inputs: inputs, count: count, seed: seed)
    return spectra.withLock { made in
      if let spectrum = made[key] { return spectrum }
      var random = TorchRandom(seed: seed)
      let spectrum = Spectrum(random.permutation(count, of: outputs * inputs), outputs: outputs, inputs: inputs)
      made[key] = spectrum
      return spectrum
    }
  }

  func waves(_ axis: AxisWaves, _ scalar: ScalarType) -> Tensor {
    let key = WavesKey(waves: axis, scalar: scalar)
    return waves.withLock { made in
      if let matrix = made[key] { return matrix }
      let matrix = axis.matrix(scalar)
      made[key] = matrix
      return matrix
    }
  }
}
