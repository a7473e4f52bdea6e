package import JSON

extension RunEngine.Details {
  /// The agent as it may be shown.
  var shownAgent: CarriedJSON? { agent.map { EnvironmentValues.hidden(in: $0) } }

  /// What `run.get` says besides the outcome.
  package func writeMembers(to writer: inout JSONWriter) {
    writer.member("createdAt", createdAt.text)
    writer.member("updatedAt", updatedAt.text)
    writer.member("agent", ifPresent: shownAgent)
    writer.member("agentVersion", ifPresent: agentVersion)
    writer.member("state", state ?? .null)
    writer.member("context", ifPresent: context)
    writer.member("rejectedResults", rejectedResults)
  }
}
