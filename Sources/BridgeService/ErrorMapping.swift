package import AgentRuntime
import BridgeProtocol
import JSON
package import JSONRPC

/// The one place where errors become JSON-RPC errors.
package enum ErrorMapping {
  /// `{code, message, data: {kind, retryable, retryAfterMs?, pointer?, ...}}`
  package static func rpcError(_ error: RuntimeError) -> RPCError {
    let entry = ErrorCodes.entry(for: error.kind.name)
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("kind", entry.kind)
    writer.member("retryable", entry.isRetryable)
    writer.member("retryAfterMs", ifPresent: error.retryAfterMilliseconds)
    writer.member("pointer", ifPresent: error.pointer ?? (error.kind == .invalidParams ? "" : nil))
    for (name, value) in error.details {
      writer.key(escaping: name)
      writer.value(value)
    }
    writer.endObject()
    return RPCError(code: entry.code, message: sentence(error), data: CarriedJSON(trusted: writer.finish()))
  }

  private static func sentence(_ error: RuntimeError) -> String {
    guard let pointer = error.pointer, !pointer.isEmpty else { return error.message }
    return "\(pointer): \(error.message)"
  }

  package static func cancelled(run: ULID? = nil) -> RPCError {
    var error = RuntimeError(RuntimeError.Kind("cancelled"), "the request was cancelled")
    if let run { error.details = [("runId", CarriedJSON(string: run.text))] }
    return rpcError(error)
  }

  /// The errors that the peer makes by itself.
  package static let peerErrors = PeerErrors(
    parseError: { rpcError(RuntimeError(RuntimeError.Kind("parseError"), "not a message: \($0)")) },
    tooLarge: { rpcError(RuntimeError(.messageTooLarge, $0)) },
    invalidRequest: { rpcError(RuntimeError(.invalidRequest, $0)) },
    invalidParams: { rpcError(RuntimeError(.invalidParams, $0, pointer: $1)) },
    methodNotFound: { rpcError(RuntimeError(RuntimeError.Kind("methodNotFound"), "there is no method '\($0.prefix(128))'")) },
    internalError: { rpcError(RuntimeError(.internalError, $0)) }
  )
}
