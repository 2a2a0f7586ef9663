import CKernels
import COpenBLAS

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Matrix products on OpenBLAS, row-major.
enum BLAS {
  /// One operand: where it starts, its leading dimension, and whether it is used transposed.
  struct Operand {
    var address: UnsafeRawPointer
    var stride: Int
    var transposed = false
  }

  /// C ← alpha·op(A)·op(B) + beta·C with op(A) [m, k], op(B) [k, n], C [m, n], the same numbers on any number of cores.
  static func multiply(
    _ scalar: ScalarType, _ m: Int, _ n: Int, _ k: Int, alpha: Double = 1, _ a: Operand, _ b: Operand, beta: Double = 0,
    into c: UnsafeMutableRawPointer, stride: Int, threads: Int = Threads.count
  ) {
    guard m > 0, n > 0 else { return }
    CPU.ready()
    if m == 1 {
      // One row is bound by memory: a matrix product would first copy the whole of B into its own order.
      return gemv(scalar, n, k, alpha, a.address, a.transposed ? a.stride : 1, b, beta, c)
    }
    guard let cut = Cut(scalar, m, n, k, threads: threads) else { return gemm(scalar, m, n, k, alpha, a, b, beta, c, stride) }
    let size = scalar.byteCount
    Threads.each(cut.parts, width: threads) { part in
      let range = cut.range(part)
      let start = range.lowerBound
      var a = a
      var b = b
      if cut.isOverRows {
        a.address += start * (a.transposed ? 1 : a.stride) * size
        gemm(scalar, range.count, n, k, alpha, a, b, beta, c + start * stride * size, stride)
      } else {
        b.address += start * (b.transposed ? b.stride : 1) * size
        gemm(scalar, m, range.count, k, alpha, a, b, beta, c + start * size, stride)
      }
    }
  }

  /// How a product is divided among cores.
  struct Cut {
    /// Whether rows of C are divided, or columns.
    let isOverRows: Bool
    let length: Int
    let parts: Int
    private let share: Int

    /// Nil for products that are too small to be cut.
    ///
    /// Every part brings the other operand into the BLAS's own order again, so rows are divided unless C is much wider than
    /// long, and into as few parts as there are cores. Where a cut moves rows from one kernel to another, sums come out
    /// differently in their last bits: rows are cut at places that the kernels make nothing of, where there are such places,
    /// and otherwise, as columns, at places that do not depend on the number of cores.
    init?(_ scalar: ScalarType, _ m: Int, _ n: Int, _ k: Int, threads: Int) {
      isOverRows = n <= 4 * m
      length = isOverRows ? m : n
      guard length >= 128, 2 * m * n * k > 1_000_000 else { return nil }
      if isOverRows, scalar == .float32, CPU.cutsRowsFreely {
        let wanted = threads > 1 ? threads * ((length / threads + 1023) / 1024) : 1
        share = max(CPU.rowUnit, length / wanted / CPU.rowUnit * CPU.rowUnit)
        parts = min(wanted, length / share)
      } else {
        // Two halves already pay where the product is large and 256 would leave it whole.
        share = length > 8192 ? 1024 : length > 512 ? 256 : (length + 127) / 128 * 64
        parts = (length + share - 1) / share
      }
    }

    func range(_ part: Int) -> Range<Int> { part * share..<(part == parts - 1 ? length : (part + 1) * share) }
  }

  fileprivate static func gemm(
    _ scalar: ScalarType, _ m: Int, _ n: Int, _ k: Int, _ alpha: Double, _ a: Operand, _ b: Operand, _ beta: Double,
    _ c: UnsafeMutableRawPointer, _ stride: Int
  ) {
    let transA = a.transposed ? CblasTrans : CblasNoTrans
    let transB = b.transposed ? CblasTrans : CblasNoTrans
    switch scalar {
    case .float32:
      cblas_sgemm(
        CblasRowMajor, transA, transB, blasint(m), blasint(n), blasint(k), Float(alpha),
        a.address.assumingMemoryBound(to: Float.self), blasint(a.stride), b.address.assumingMemoryBound(to: Float.self),
        blasint(b.stride), Float(beta), c.assumingMemoryBound(to: Float.self), blasint(stride))
    case .float64:
      cblas_dgemm(
        CblasRowMajor, transA, transB, blasint(m), blasint(n), blasint(k), alpha,
        a.address.assumingMemoryBound(to: Double.self), blasint(a.stride), b.address.assumingMemoryBound(to: Double.self),
        blasint(b.stride), beta, c.assumingMemoryBound(to: Double.self), blasint(stride))
    }
  }
}

extension BLAS {
  /// c ← alpha·op(B)ᵀ·x + beta·c with op(B) [k, n].
  private static func gemv(
    _ scalar: ScalarType, _ n: Int, _ k: Int, _ alpha: Double, _ x: UnsafeRawPointer, _ step: Int, _ b: Operand,
    _ beta: Double, _ c: UnsafeMutableRawPointer
  ) {
    let (rows, columns) = b.transposed ? (n, k) : (k, n)
    let order = b.transposed ? CblasNoTrans : CblasTrans
    switch scalar {
    case .float32:
      cblas_sgemv(
        CblasRowMajor, order, blasint(rows), blasint(columns), Float(alpha), b.address.assumingMemoryBound(to: Float.self),
        blasint(b.stride), x.assumingMemoryBound(to: Float.self), blasint(step), Float(beta),
        c.assumingMemoryBound(to: Float.self), 1)
    case .float64:
      cblas_dgemv(
        CblasRowMajor, order, blasint(rows), blasint(columns), alpha, b.address.assumingMemoryBound(to: Double.self),
        blasint(b.stride), x.assumingMemoryBound(to: Double.self), blasint(step), beta,
        c.assumingMemoryBound(to: Double.self), 1)
    }
  }
}

/// The processor's vector units and the BLAS kernels that run on them.
public enum CPU {
  /// The BLAS kernels in use, e.g. `SkylakeX`.
  public static var blasKernel: String {
    ready()
    return String(cString: openblas_get_corename())
  }

  /// The BLAS library's own description of its build.
  public static var blasBuild: String { String(cString: openblas_get_config()) }

  /// Whether the processor has the AVX-512 instructions that the vector kernels use.
  public static var hasAVX512: Bool { cpu_has_avx512() != 0 }

  static func ready() { _ = prepared }

  /// Rows that a kernel sums up together are 4, 8, 12 or 24 of them.
  static let rowUnit = 24

  /// Whether products come out the same, bit for bit, however their rows are cut into multiples of `rowUnit`; tried once.
  static let cutsRowsFreely: Bool = {
    let (m, n, k) = (5 * rowUnit + 7, 71, 900)
    var random = Philox(key: 0)
    let (x, w) = (random.uniform([m * k], in: -1..<1), random.uniform([n * k], in: -1..<1))
    return [false, true].allSatisfy { turnsX in
      [false, true].allSatisfy { turnsW in
        func product(cutAt cuts: [Int]) -> [Float] {
          let y = Tensor(uninitialized: [m, n], .float32)
          for (start, end) in zip([0] + cuts, cuts + [m]) {
            let a = BLAS.Operand(address: x.address(start * (turnsX ? 1 : k)), stride: turnsX ? m : k, transposed: turnsX)
            let b = BLAS.Operand(address: w.address(), stride: turnsW ? k : n, transposed: turnsW)
            BLAS.gemm(.float32, end - start, n, k, 1, a, b, 0, y.address(start * n), n)
          }
          return y.floats
        }
        let whole = product(cutAt: [])
        return [[rowUnit], [2 * rowUnit, 3 * rowUnit], [4 * rowUnit]].allSatisfy { product(cutAt: $0) == whole }
      }
    }
  }()

  /// OpenBLAS 0.3.21 does not know AMD Zen 4 and 5 and falls back to kernels for older processors, at half their speed;
  /// it then has to be told, before the first product. (2026-11: newer releases detect them; this then does nothing.)
  private static let prepared: Void = {
    func kernel() -> String { String(cString: openblas_get_corename()) }
    if getenv("OPENBLAS_CORETYPE") == nil, hasAVX512, !["SkylakeX", "Cooperlake", "SapphireRapids"].contains(kernel()),
      let quit = symbol("gotoblas_dynamic_quit"), let start = symbol("gotoblas_dynamic_init")
    {
      setenv("OPENBLAS_CORETYPE", "SkylakeX", 1)
      quit()
      start()
      unsetenv("OPENBLAS_CORETYPE")
      // A library built without these kernels has taken its oldest ones instead: back to what it detects.
      if kernel() != "SkylakeX" {
        quit()
        start()
      }
    }
    openblas_set_num_threads(1)
  }()

  private static func symbol(_ name: String) -> (@convention(c) () -> Void)? {
    guard let address = dlsym(UnsafeMutableRawPointer(bitPattern: 0), name) else { return nil }
    return unsafeBitCast(address, to: (@convention(c) () -> Void).self)
  }
}
