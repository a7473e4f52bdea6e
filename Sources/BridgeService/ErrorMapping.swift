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
    internalError: { rpcError(RuntimeError(.internalError, $0)) },
    shortened: { shortened($0, to: $1) }
  )

  // MARK: Short lines

  /// The error in at most so many bytes: its message without the middle, its pointer to a place further out, and, where that is not enough, without
  /// what else its data says; its code and kind stay.
  static func shortened(_ error: RPCError, to bytes: Int) -> RPCError {
    var error = withShortText(error, bytes / 4)
    while error.json.bytes.count > bytes {
      var members = members(of: error.data)
      let spare = members.indices.filter { !needed.contains(members[$0].name) }
      guard let longest = spare.max(by: { members[$0].value.bytes.count < members[$1].value.bytes.count }) else { break }
      members.remove(at: longest)
      error.data = object(members)
    }
    return error
  }

  /// The error with no text in it that is longer than that.
  static func withShortText(_ error: RPCError, _ most: Int) -> RPCError {
    var error = error
    error.message = error.message.shortened(writtenBytes: most)
    let members = members(of: error.data).map { member -> Member in
      guard let text = member.value.stringValue, member.value.bytes.count > most else { return member }
      return (member.name, CarriedJSON(string: member.name == "pointer" ? outer(text, most) : text.shortened(writtenBytes: most)))
    }
    if error.data != nil { error.data = object(members) }
    return error
  }

  private typealias Member = (name: String, value: CarriedJSON)

  private static let needed: Set<String> = ["kind", "pointer", "retryable", "retryAfterMs"]

  private static func members(of data: CarriedJSON?) -> [Member] {
    var members: [Member] = []
    data?.forEachMember { name, value in members.append((name.text, value)) }
    return members
  }

  private static func object(_ members: [Member]) -> CarriedJSON {
    var writer = JSONWriter()
    writer.beginObject()
    for (name, value) in members {
      writer.key(escaping: name)
      writer.value(value)
    }
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }

  /// The innermost place around that of `pointer` whose pointer is short enough.
  private static func outer(_ pointer: String, _ most: Int) -> String {
    let short = pointer.prefix(writtenBytes: most - 2)
    return short.unicodeScalars.lastIndex(of: "/").map { String(short.unicodeScalars[..<$0]) } ?? ""
  }
}
