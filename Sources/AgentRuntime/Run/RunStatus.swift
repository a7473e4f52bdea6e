/// The status words of the wire.
package enum RunStatus: String, Sendable, CaseIterable {
  case queued, running
  case waitingClientTool = "waiting_client_tool"
  case waitingApproval = "waiting_approval"
  case waitingHumanInput = "waiting_human_input"
  case paused
  case success, error, cancelled
  case maxIterations = "max_iterations"

  package var hasEnded: Bool {
    switch self {
    case .success, .error, .cancelled, .maxIterations: true
    default: false
    }
  }

  package var isWaiting: Bool {
    switch self {
    case .waitingClientTool, .waitingApproval, .waitingHumanInput: true
    default: false
    }
  }
}
