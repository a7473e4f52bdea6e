package import JSON

/// A file that holds an agent.
package struct AgentFile: Sendable, Equatable {
  /// The file's name without `.json`.
  package var agentID: String
  /// With its path, for messages.
  package var name: String
  package var text: Bytes
  package var modifiedAt: Timestamp

  package init(agentID: String, name: String, text: Bytes, modifiedAt: Timestamp) {
    self.agentID = agentID
    self.name = name
    self.text = text
    self.modifiedAt = modifiedAt
  }
}

/// Agents in files, beside those of the store: `--agents FOLDER`. Called on the engine's thread, which a small file may block.
package protocol AgentFiles: Sendable {
  /// In the order of their bytes.
  /// - Parameter refused: gets, for each file whose name can be nobody's id, what is wrong with it.
  /// - Throws: `invalidParams` that names the folder and why it cannot be read; what `refused` throws.
  func agentIDs(refused: (RuntimeError) throws(RuntimeError) -> Void) throws(RuntimeError) -> [String]

  /// The file as it is now; nil when there is none for this id, which may be any text that a client sends.
  /// - Throws: `invalidParams` that names the file and why it cannot be read.
  func file(of agentID: String) throws(RuntimeError) -> AgentFile?
}
