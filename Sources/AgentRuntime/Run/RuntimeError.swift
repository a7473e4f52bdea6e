package import JSON

/// What the runtime refuses, by the kinds of the wire; `BridgeService` gives each its JSON-RPC code.
package struct RuntimeError: Error, Sendable, Equatable {
  package struct Kind: Sendable, Hashable {
    package let name: String
    package init(_ name: String) { self.name = name }
  }

  package var kind: Kind
  /// One sentence for people; no secret and no argument value.
  package var message: String
  /// RFC 6901, into the params of the request; for `invalidParams`.
  package var pointer: String?
  package var retryAfterMilliseconds: Int?
  /// The store works, but what it has of the one thing that was asked for is not what was written.
  package private(set) var isDamage = false
  /// More members of the error's `data`: verdicts, missing, unknown, duplicate, runId.
  package var details: [(name: String, value: CarriedJSON)] = []

  package init(_ kind: Kind, _ message: String, pointer: String? = nil, retryAfterMilliseconds: Int? = nil) {
    self.kind = kind
    self.message = message
    self.pointer = pointer
    self.retryAfterMilliseconds = retryAfterMilliseconds
  }

  package static func == (a: RuntimeError, b: RuntimeError) -> Bool {
    a.kind == b.kind && a.message == b.message && a.pointer == b.pointer && a.details.map(\.name) == b.details.map(\.name)
      && a.details.map(\.value) == b.details.map(\.value)
  }
}

extension RuntimeError.Kind {
  package static let invalidRequest = Self("invalidRequest")
  package static let invalidParams = Self("invalidParams")
  package static let internalError = Self("internalError")
  package static let runNotFound = Self("run.notFound")
  package static let runNotWaiting = Self("run.notWaiting")
  package static let runAlreadyTerminal = Self("run.alreadyTerminal")
  package static let runAlreadyClaimed = Self("run.alreadyClaimed")
  package static let runInvalidToolResults = Self("run.invalidToolResults")
  package static let runLeaseHeld = Self("run.leaseHeld")
  package static let runLimitExceeded = Self("run.limitExceeded")
  package static let runSuperseded = Self("run.superseded")
  package static let runDropped = Self("run.dropped")
  package static let runIdempotencyConflict = Self("run.idempotencyConflict")
  package static let sessionNotFound = Self("session.notFound")
  package static let agentNotFound = Self("agent.notFound")
  package static let agentConflict = Self("agent.conflict")
  package static let memoryReadOnly = Self("memory.readOnly")
  package static let toolkitNotFound = Self("toolkit.notFound")
  package static let toolInvalid = Self("tool.invalid")
  package static let toolInvalidSchema = Self("tool.invalidSchema")
  package static let toolTimeout = Self("tool.timeout")
  package static let clientDisconnected = Self("client.disconnected")
  package static let blobNotFound = Self("blob.notFound")
  package static let modelUnknownProvider = Self("model.unknownProvider")
  package static let modelMissingKey = Self("model.missingKey")
  package static let modelUnavailable = Self("model.unavailable")
  package static let modelRejected = Self("model.rejected")
  package static let modelContextOverflow = Self("model.contextOverflow")
  package static let modelInvalidOutput = Self("model.invalidOutput")
  package static let scriptMismatch = Self("script.mismatch")
  package static let scriptExhausted = Self("script.exhausted")
  package static let storeUnavailable = Self("store.unavailable")
  package static let storeFull = Self("store.full")
  package static let storeNewer = Self("store.newer")
  package static let messageTooLarge = Self("message.tooLarge")
  package static let overloaded = Self("overloaded")
  package static let unsupportedCapability = Self("unsupportedCapability")
  package static let shuttingDown = Self("shuttingDown")
}

extension RuntimeError {
  package static func invalidParams(_ message: String, at pointer: String) -> RuntimeError {
    RuntimeError(.invalidParams, message, pointer: pointer)
  }

  /// An error about one tool, whose name stands in its data too.
  package static func aboutTool(_ name: String, _ kind: Kind, _ message: String, at pointer: String? = nil) -> RuntimeError {
    var error = RuntimeError(kind, message, pointer: pointer)
    error.details = [("tool", CarriedJSON(string: name))]
    return error
  }

  package init(_ error: StoreError) {
    let kind: Kind =
      switch error.code {
      case .unavailable, .damaged: .storeUnavailable
      case .full: .storeFull
      case .newer: .storeNewer
      }
    self.init(kind, error.message)
    isDamage = error.code == .damaged
  }

  package init(_ error: JSONError) {
    self.init(.invalidParams, error.message, pointer: error.pointer ?? "")
  }
}
