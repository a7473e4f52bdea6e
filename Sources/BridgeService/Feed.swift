import AgentRuntime

/// One run's events on their way to the client. Only the engine's thread touches it.
final class Feed {
  let runID: ULID
  /// The last event that was handed to the peer (or that the client opted out of).
  var cursor: Int
  /// Behind its log: what is missing is read from the store when the client has room.
  var isLagging = false
  /// What must come after an event.
  private var gated: [(sequence: Int, action: () -> Void)] = []

  init(runID: ULID, cursor: Int) {
    self.runID = runID
    self.cursor = cursor
  }

  func after(_ sequence: Int, _ action: @escaping () -> Void) {
    if cursor >= sequence { action() } else { gated.append((sequence, action)) }
  }

  /// Does what waited for the events that are out now.
  func openGates() {
    while let first = gated.firstIndex(where: { $0.sequence <= cursor }) { gated.remove(at: first).action() }
  }

  func openAllGates() {
    let actions = gated
    gated = []
    for entry in actions { entry.action() }
  }

  var isAwaited: Bool { !gated.isEmpty }
}
