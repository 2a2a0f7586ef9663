/// What every method upholds. A method's test is one line:
///
///     @Test(arguments: Law.all) func upholds(_ law: Law) { #expect(law.check(conformance).isEmpty) }
public enum Law: String, CaseIterable, Sendable {
  /// Names, shapes and roles of the tensors; the count of trained numbers is the paper's.
  case layout
  /// The three axes are those the entry declares.
  case axes
  /// Invalid values of every option are refused by the option's name.
  case options
  /// Step 0 is the base, or as near to it as stated.
  case start
  /// One seed gives one start, to the byte; another seed another.
  case seed
  /// A site's start does not depend on which sites come before it.
  case order
  /// Analytic gradients are the differences', for every trained tensor and the input.
  case gradient
  /// What an optimizer is shown of a pair is the gradient of its product.
  case pairs
  /// A start near a matrix is as near as it says, and as near as can be where it says that.
  case approximation
  /// Reference files of independent oracles.
  case goldens
  /// The merged weight computes what base and adapter compute, or merging is refused with its reason.
  case merge
  /// As a plain LoRA the change is itself where that is called exact, and as far from it as is said where not; so are sums of adapters.
  case conversion
  /// A merged model computes what base and adapter compute, and unmerged it is the base, to the byte.
  case unmerge
  /// Neither forward nor backward forms a matrix of a weight's size.
  case memory
  /// Analytic gradients through a whole model are the differences'; those of a training step are the same.
  case modelGradient
  /// A step that computes the layers' activations a second time is the step that keeps them.
  case recomputation
  /// All that is to move moves, and nothing else does.
  case movement
  /// The loss falls.
  case learning
  /// Every optimizer trains the method or refuses it with a rule.
  case optimizers
  /// k + m steps are k steps, a checkpoint and m steps, to the bit.
  case resume
  /// Two adapters on one base do not disturb each other, whichever of them is in use.
  case isolation
  /// What was trained can be started again, from the byte.
  case reset
  /// What was saved computes the same after loading, to the bit.
  case files

  public static var all: [Law] { allCases }

  /// Everything about `method` that breaks this law.
  public func check(_ method: MethodConformance) -> [Failure] {
    if self == .goldens { return goldens(method) }
    return method.cases.flatMap { options -> [Failure] in
      let trial: Trial
      do { trial = try Trial(method, options) } catch { return [Failure(self, options, "\(error)")] }
      do { return try check(trial).map { Failure(self, options, $0) } } catch { return [Failure(self, options, "\(error)")] }
    }
  }

  private func check(_ trial: Trial) throws -> [String] {
    switch self {
    case .layout: try layout(trial)
    case .axes: try axes(trial)
    case .options: options(trial)
    case .start: try start(trial)
    case .seed: try seed(trial)
    case .order: try order(trial)
    case .gradient: try gradient(trial)
    case .pairs: try pairs(trial)
    case .approximation: try approximation(trial)
    case .goldens: []
    case .merge: try merge(trial)
    case .conversion: try conversion(trial)
    case .unmerge: try unmerge(trial)
    case .memory: try memory(trial)
    case .modelGradient: try modelGradient(trial)
    case .recomputation: try recomputation(trial)
    case .movement: try movement(trial)
    case .learning: try learning(trial)
    case .optimizers: try optimizers(trial)
    case .resume: try resume(trial)
    case .isolation: try isolation(trial)
    case .reset: try reset(trial)
    case .files: try files(trial)
    }
  }

  private func goldens(_ method: MethodConformance) -> [Failure] {
    let verification = Verification(registry: method.registry)
    return method.goldens.flatMap { path -> [Failure] in
      let report = verification.report(on: path)
      var faults = report.faults
      if let entry = report.entry, entry != method.entry {
        faults.append("is read as a problem of \(entry), not of \(method.entry)")
      }
      return faults.map { Failure(self, [:], "\(path): \($0)") }
    }
  }
}
