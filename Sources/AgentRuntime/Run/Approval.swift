package import JSON

/// What somebody says to a call that needs approval: the result of `approval.request`, and an entry of `run.submitApprovals`.
package struct ApprovalAnswer: Sendable, Equatable {
  package enum Decision: String, Sendable { case approve, deny }
  package enum Scope: String, Sendable { case once, session }

  package var decision: Decision
  package var reason: String?
  /// Other arguments than the model's; nil leaves them. Of a denial they are not read.
  package var arguments: CarriedJSON?
  package var scope = Scope.once

  package init(_ decision: Decision, reason: String? = nil, arguments: CarriedJSON? = nil, scope: Scope = .once) {
    self.decision = decision
    self.reason = reason
    self.arguments = decision == .approve ? arguments : nil
    self.scope = scope
  }

  /// What in it is only carried.
  package static let carriedPaths: CarriedPaths = ["/arguments", "/_meta"]

  /// - Throws: `invalidParams` with the pointer of what is missing or wrong. Whether the arguments fit is judged later, with the tool at hand.
  package init(reading value: CarriedJSON, at pointer: String = "") throws(RuntimeError) {
    guard value.kind == .object else { throw .invalidParams("must be an object", at: pointer) }
    guard let word = value["decision"] else { throw .invalidParams("is required", at: pointer + "/decision") }
    guard let decision = word.stringValue.flatMap(Decision.init(rawValue:)) else {
      throw .invalidParams("must be approve or deny", at: pointer + "/decision")
    }
    self.init(decision)
    if let reason = value["reason"], !reason.isNull {
      guard let text = reason.stringValue else { throw .invalidParams("must be a string", at: pointer + "/reason") }
      self.reason = text
    }
    if let scope = value["scope"], !scope.isNull {
      guard let known = scope.stringValue.flatMap(Scope.init(rawValue:)) else {
        throw .invalidParams("must be once or session", at: pointer + "/scope")
      }
      self.scope = known
    }
    if decision == .approve, let arguments = value["arguments"], !arguments.isNull { self.arguments = arguments }
  }
}

/// A decision as the log has it: it lets one call go or stops it, whoever made it.
package struct ApprovalDecision: Sendable, Equatable {
  /// By which door it came.
  package enum Door: String, Sendable {
    /// The client that was asked.
    case client
    /// `run.submitApprovals`, or the same member of another submit.
    case submit
    /// Nobody decided in time.
    case expiry
    /// An earlier decision of scope `session`.
    case scope
  }

  package var decision: ApprovalAnswer.Decision
  package var by: Door
  /// The name that the deciding client gave itself.
  package var client: String?
  /// A JSON string.
  package var reason: StoredValue?
  /// As they were given.
  package var arguments: StoredValue?
  /// They are what the model asked for.
  package var keepsArguments = false
  package var scope = ApprovalAnswer.Scope.once
  /// Of one by scope: the call that was decided for the session.
  package var source: ULID?

  package init(_ decision: ApprovalAnswer.Decision, by door: Door) {
    self.decision = decision
    by = door
  }
}

/// A decision that covers later calls: of that tool, by name and target, as long as its definition is the same.
package struct StandingDecision: Sendable, Equatable {
  package var tool: Tool
  /// The MCP server behind the tool, as the agent defined it.
  package var server: MCPServer?
  package var decision: ApprovalAnswer.Decision
  package var reason: StoredValue?
  /// The call it was made on.
  package var callID: ULID
}

extension ApprovalDecision {
  /// What the model is told of a denied call.
  func words(_ reason: String?) -> String {
    let what =
      switch by {
      case .client, .submit: "The user denied this call"
      case .expiry: "This call was denied: nobody approved it in time"
      case .scope: "The user denied every call of this tool"
      }
    guard let reason, !reason.isEmpty else { return what + ". It was not run." }
    return "\(what): \(reason)"
  }
}
