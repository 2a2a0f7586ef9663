import ChatTemplates
import Engine
import Files
import JSON
import PEFTKernel
import Registry
import Tokenization
import Training
import YAML

/// How a command ended; the numbers are those of `sysexits.h` where it has one.
public enum ExitStatus: Int32, Sendable {
  case ok = 0
  /// A check said no, or training met a number that is none.
  case failed = 1
  case usage = 64
  case badData = 65
  case missingInput = 66
  case cannotCreate = 73
  case io = 74
  /// Stopped between two steps, with everything saved to go on from.
  case stopped = 75
  case configuration = 78
  /// Stopped by a signal before there was anything to save.
  case interrupted = 130
}

/// An error as the user meets it. The one place that knows which error means which exit code.
struct Failure: Error {
  var status: ExitStatus
  /// One line an issue.
  var message: String

  init(_ status: ExitStatus, _ message: String) {
    self.status = status
    self.message = message
  }

  /// Nil for what the argument parser threw.
  init?(describing error: any Error) {
    switch error {
    case let error as Failure: self = error
    case let error as FileError: self.init(.init(error.kind), error.description)
    case let error as OccupiedFolder:
      let goOn = "go on with `\(Invocation.command) resume \(shellQuoted(Format.path(error.folder)))`"
      self.init(
        .cannotCreate,
        "\(error.folder): \(error.content); \(error.isResumable ? goOn : "choose another output_dir"), or begin anew with --overwrite"
      )
    case let error as ConfigurationErrors: self.init(.init(error.kind), error.description)
    case let error as YAMLError: self.init(.configuration, error.description)
    case let error as Refusal: self.init(.configuration, error.description)
    case let error as DataErrors: self.init(.badData, error.description)
    case let error as TemplateError: self.init(.badData, "the chat template: \(error.description)")
    case let error as TokenizerError: self.init(.badData, error.description)
    case let error as JSONError: self.init(.badData, error.description)
    case let error as TrainingError: self.init(.failed, error.description)
    case is CancellationError: self.init(.interrupted, "stopped before the first step; there is nothing to go on from")
    case let error as LinearAlgebraError: self.init(.failed, error.description)
    default: return nil
    }
  }
}

extension ExitStatus {
  init(_ kind: Issue.Kind) {
    switch kind {
    case .configuration: self = .configuration
    case .missing: self = .missingInput
    case .badData: self = .badData
    case .cannotCreate: self = .cannotCreate
    }
  }

  init(_ kind: FileError.Kind) {
    switch kind {
    case .missing: self = .missingInput
    case .badData: self = .badData
    case .cannotCreate: self = .cannotCreate
    case .io: self = .io
    }
  }
}
