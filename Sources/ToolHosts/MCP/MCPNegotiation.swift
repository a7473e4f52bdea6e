import JSON
import JSONRPC

/// Finds the revision that both sides speak, by what the server answers. Decides only; the connection asks.
///
/// The handshake comes first, though a client that knows both kinds should begin with `server/discover`: to a server of the older kind that is an
/// unknown request before its handshake, at which some complain and some end, while one of the newer kind alone refuses `initialize` with an error
/// that costs nothing. What is used here does not differ between them.
struct MCPNegotiation: Sendable, Equatable {
  enum Step: Sendable, Equatable {
    /// `server/discover`.
    case discover
    /// `notifications/initialized` is due when there was a handshake.
    case agreed(MCPAgreement)
    /// Goes on after "the MCP server 'x'".
    case failed(String)
  }

  private var refusal: String?

  /// What follows from the answer to `initialize`.
  mutating func initialized(_ reply: PeerReply) -> Step {
    switch reply {
    case .result(let result):
      guard let version = result["protocolVersion"]?.stringValue else { return .failed("answered initialize without a protocolVersion") }
      guard MCPRevision.withHandshake.contains(version) else {
        return .failed("speaks revision \(Self.short(version)) of MCP; this bridge knows \(Self.known)")
      }
      return .agreed(MCPAgreement(isStateless: false, capabilities: result["capabilities"]))
    case .error(let error):
      refusal = "refused initialize: \(Self.short(error.message)) (code \(error.code))"
      return .discover
    case .broken(let reason): return .failed("gave an answer to initialize that cannot be used: \(reason)")
    case .closed: return .failed("ended before it answered initialize")
    }
  }

  /// What follows from the answer to `server/discover`.
  func discovered(_ reply: PeerReply) -> Step {
    guard case .result(let result) = reply, let versions = result["supportedVersions"], versions.kind == .array else {
      return .failed(refusal ?? "did not say which revision of MCP it speaks")
    }
    let texts = versions.elements.compactMap(\.stringValue)
    guard texts.contains(MCPRevision.stateless) else {
      return .failed("speaks MCP \(Self.short(texts.joined(separator: ", "))); this bridge knows \(Self.known)")
    }
    return .agreed(MCPAgreement(isStateless: true, capabilities: result["capabilities"]))
  }

  private static var known: String { ([MCPRevision.stateless] + MCPRevision.withHandshake).joined(separator: ", ") }
  private static func short(_ text: String) -> String { String(text.prefix(500)) }
}

/// What a server has said of itself.
struct MCPAgreement: Sendable, Equatable {
  var isStateless: Bool
  var hasTools: Bool
  /// It tells when its list of tools changes.
  var announcesChanges: Bool

  init(isStateless: Bool, hasTools: Bool, announcesChanges: Bool) {
    self.isStateless = isStateless
    self.hasTools = hasTools
    self.announcesChanges = announcesChanges
  }

  init(isStateless: Bool, capabilities: CarriedJSON?) {
    let tools = capabilities?["tools"]
    self.init(isStateless: isStateless, hasTools: tools?.kind == .object, announcesChanges: tools?["listChanged"]?.boolValue == true)
  }
}
