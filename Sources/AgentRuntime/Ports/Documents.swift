package import JSON

/// A JSON value that is kept beside the logs and changes as a whole: an agent, a memory block, a session.
package struct Document: Sendable, Equatable {
  /// What it is: a word such as `agent`.
  package var kind: String
  /// Unique in its kind; kinds are listed in the order of its bytes.
  package var id: String
  /// From 1, one more with every change.
  package var version: Int
  package var updatedAt: Timestamp
  package var json: CarriedJSON

  package init(kind: String, id: String, version: Int, updatedAt: Timestamp, json: CarriedJSON) {
    self.kind = kind
    self.id = id
    self.version = version
    self.updatedAt = updatedAt
    self.json = json
  }
}

/// A change of a document, which counts only if nobody else has changed it meanwhile.
package struct DocumentWrite: Sendable, Equatable {
  package var kind: String
  package var id: String
  /// What it is a change of; 0 for a document that is not there yet.
  package var expectedVersion: Int
  /// Nil removes the document.
  package var json: CarriedJSON?
  package var updatedAt: Timestamp

  package init(kind: String, id: String, expectedVersion: Int, json: CarriedJSON?, updatedAt: Timestamp) {
    self.kind = kind
    self.id = id
    self.expectedVersion = expectedVersion
    self.json = json
    self.updatedAt = updatedAt
  }
}

/// Which documents of one kind.
package struct DocumentQuery: Sendable {
  package var kind: String
  /// What their ids begin with.
  package var prefix = ""
  /// Only ids behind this one, in the order asked for.
  package var after: String?
  package var isDescending = false
  package var limit: Int

  package init(kind: String, prefix: String = "", after: String? = nil, isDescending: Bool = false, limit: Int = 100) {
    self.kind = kind
    self.prefix = prefix
    self.after = after
    self.isDescending = isDescending
    self.limit = limit
  }
}
