import ArgumentParser
import Engine
import JSON

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

struct DoctorCommand: Subcommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "What this machine and this build can do, measured.")

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup var common: CommonOptions

  func run(_ call: Invocation) async throws -> ExitStatus {
    let one = Measurement.productRate(parallel: false) / 1e9
    let all = Measurement.productRate(parallel: true) / 1e9
    let bandwidth = Measurement.memoryBandwidth() / 1e9
    let reading = Measurement.readBandwidth() / 1e9
    let registry = try call.registry()
    let sources = call.entries.map(\.file)
    if json {
      let report: JSON = [
        "version": .string(Version.text), "system": .string(Self.system), "threads": .int(Threads.count),
        "avx512": .bool(CPU.hasAVX512), "blas_build": .string(CPU.blasBuild), "blas_kernel": .string(CPU.blasKernel),
        "gflops_1": .double(one), "gflops": .double(all), "memory_gb_per_second": .double(bandwidth),
        "memory_read_gb_per_second": .double(reading),
        "methods": .array(registry.entries.keys.sorted().map { .string($0) }),
        "plugins": .array(call.plugins.map { .string($0.name) }), "entries": .array(sources.map { .string($0) }),
        "entry_folders": .array(call.folders.map { .string($0) }),
      ]
      call.console.print(report.text(indented: true))
      return .ok
    }
    let rows = [
      ["version", "peft \(Version.text), \(Self.build) build"],
      ["system", Self.system],
      ["threads", "\(Threads.count) (PEFT_THREADS sets another number)"],
      ["vectors", CPU.hasAVX512 ? "AVX-512" : "no AVX-512"],
      ["BLAS", CPU.blasBuild],
      ["BLAS kernels", CPU.blasKernel],
      [
        "matrix product",
        "\(Format.fixed(one, 1)) GFLOP/s on one thread, \(Format.fixed(all, 1)) on \(Threads.count) (single precision)",
      ],
      ["memory", "\(Format.fixed(reading, 1)) GB/s read, \(Format.fixed(bandwidth, 1)) read and written in copying"],
      ["methods", registry.entries.keys.sorted().joined(separator: ", ")],
      ["plugins", call.plugins.map(\.name).joined(separator: ", ")],
      ["entries", (sources + call.folders).joined(separator: ", ")],
    ]
    for line in Format.table(rows) { call.console.print(line) }
    if CPU.hasAVX512, ["Haswell", "Zen"].contains(CPU.blasKernel) {
      call.console.note("note: the BLAS does not use this processor's AVX-512; set OPENBLAS_CORETYPE=SkylakeX")
    }
    return .ok
  }

  static var build: String {
    #if DEBUG
      "debug"
    #else
      "release"
    #endif
  }

  static var system: String {
    var names = utsname()
    guard uname(&names) == 0 else { return "unknown" }
    func text<Field>(_ field: Field) -> String {
      withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
    return "\(text(names.sysname)) \(text(names.release)) \(text(names.machine))"
  }
}
