package import JSON

extension RunEngine.Details {
  /// The agent as it may be shown.
  package var shownAgent: CarriedJSON? { agent.map { EnvironmentValues.hidden(in: $0) } }
}
