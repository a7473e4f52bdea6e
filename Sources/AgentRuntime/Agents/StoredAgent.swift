package import JSON

/// An agent that has an id: one of the store (document `agent`), or a file of `--agents`.
package struct StoredAgent: Sendable, Equatable {
  /// A ULID, or the name of a file without its `.json`.
  package let agentID: String
  /// In the store from 1, one more with every update. Of a file a number that its bytes make, so that every machine has the same for the same file.
  package let version: Int
  /// As it was given, secrets included.
  package let json: CarriedJSON
  package let createdAt: Timestamp
  package let updatedAt: Timestamp
  /// The file, for messages; nil for one of the store.
  package let file: String?

  static let kind = "agent"
  static let fileMark = "file:"

  /// Where a list goes on after it.
  package var cursor: String { file == nil ? agentID : Self.fileMark + agentID }

  init(_ document: Document) {
    agentID = document.id
    version = document.version
    json = document.json
    createdAt = ULID(document.id)?.time ?? document.updatedAt
    updatedAt = document.updatedAt
    file = nil
  }

  /// - Throws: `invalidParams` that names the file and the place, when it holds no JSON.
  init(_ file: AgentFile) throws(RuntimeError) {
    do throws(JSONError) { json = try CarriedJSON(validating: file.text) } catch {
      throw .invalidParams("\(file.name): \(error.located(in: file.text))", at: "/agentId")
    }
    agentID = file.agentID
    // The numbers that every JSON reader has exactly: https://www.rfc-editor.org/rfc/rfc8259#section-6
    version = max(1, Int(Fingerprint.of(file.text) & (1 << 53 - 1)))
    createdAt = file.modifiedAt
    updatedAt = file.modifiedAt
    self.file = file.name
  }

  /// As clients may see it.
  package var shownJSON: CarriedJSON { EnvironmentValues.hidden(in: json) }

  var use: AgentUse { AgentUse(agentID: agentID, version: version, json: json) }
}

/// The agent that a run was started with by its id, as it then was: part of the run's first record.
package struct AgentUse: Sendable, Equatable {
  package var agentID: String
  package var version: Int
  package var json: CarriedJSON

  init(agentID: String, version: Int, json: CarriedJSON) {
    self.agentID = agentID
    self.version = version
    self.json = json
  }

  init?(reading value: CarriedJSON?) {
    guard let value, let agentID = value["agentId"]?.stringValue, let version = value["version"]?.intValue, let json = value["agent"] else {
      return nil
    }
    self.init(agentID: agentID, version: version, json: json)
  }

  func write(to writer: inout JSONWriter) {
    writer.beginObject()
    writer.member("agentId", agentID)
    writer.member("version", version)
    writer.member("agent", json)
    writer.endObject()
  }
}

extension ULID {
  /// When it was made.
  var time: Timestamp { Timestamp(milliseconds: Int(high >> 16)) }
}
