import JSON
import Training

/// What a run will need, before anything starts.
struct RunPlan {
  init(_ session: RunSession) throws {}
  var lines: [String] { [] }
  var json: JSON { [:] }
}
