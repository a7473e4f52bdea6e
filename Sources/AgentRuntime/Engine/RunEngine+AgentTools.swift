extension RunEngine {
  package func checkAgent(_ agentID: String) throws(RuntimeError) { throw RuntimeError(.agentNotFound, "there is no such agent") }
  package func changeAgentTools(_ agentID: String, _ change: RegistrationChange) throws(RuntimeError) {
    throw RuntimeError(.agentNotFound, "there is no such agent")
  }
}
