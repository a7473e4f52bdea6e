/// The JSON-RPC code of each kind of error, and whether trying again may help: the table of `Schemas/errors.json`.
package enum ErrorCodes {
  package struct Entry: Sendable {
    package let kind: String
    package let code: Int
    package let isRetryable: Bool
  }

  package static let standard = [
    Entry(kind: "parseError", code: -32700, isRetryable: false),
    Entry(kind: "invalidRequest", code: -32600, isRetryable: false),
    Entry(kind: "methodNotFound", code: -32601, isRetryable: false),
    Entry(kind: "invalidParams", code: -32602, isRetryable: false),
    Entry(kind: "internalError", code: -32603, isRetryable: false),
    Entry(kind: "cancelled", code: -32800, isRetryable: false),
  ]

  /// In the order of the protocol page; the first has code 1001.
  private static let own = [
    "run.notFound", "run.notWaiting", "run.alreadyTerminal", "run.alreadyClaimed", "run.invalidToolResults", "run.leaseHeld",
    "run.limitExceeded", "run.idempotencyConflict", "run.superseded", "run.dropped", "session.notFound", "agent.notFound", "agent.conflict",
    "toolkit.notFound", "tool.notFound", "tool.invalid", "tool.invalidSchema", "tool.timeout", "client.disconnected", "memory.readOnly",
    "blob.notFound", "model.unknownProvider", "model.missingKey", "model.unavailable", "model.rejected", "model.invalidOutput",
    "model.contextOverflow", "script.mismatch", "script.exhausted", "store.unavailable", "store.full", "store.newer", "message.tooLarge",
    "overloaded", "unsupportedCapability", "shuttingDown",
  ]

  private static let retryable: Set<String> = [
    "run.leaseHeld", "model.unavailable", "store.unavailable", "overloaded", "shuttingDown", "tool.timeout",
  ]

  package static let all: [Entry] =
    standard + own.enumerated().map { Entry(kind: $1, code: 1001 + $0, isRetryable: retryable.contains($1)) }

  private static let byKind = Dictionary(uniqueKeysWithValues: all.map { ($0.kind, $0) })

  /// An unknown kind counts as an internal error: the table is checked against every kind the runtime has.
  package static func entry(for kind: String) -> Entry {
    byKind[kind] ?? Entry(kind: "internalError", code: -32603, isRetryable: false)
  }
}
