package import JSON

/// One result of a submit.
package struct SubmittedResult: Sendable {
  package var callID: String
  package var result: ToolResult
  package var bytes: Int

  package init(callID: String, result: ToolResult, bytes: Int) {
    self.callID = callID
    self.result = result
    self.bytes = bytes
  }
}

/// One decision of a submit.
package struct SubmittedApproval: Sendable {
  package var callID: String
  package var answer: ApprovalAnswer
  package var bytes: Int

  package init(callID: String, answer: ApprovalAnswer, bytes: Int) {
    self.callID = callID
    self.answer = answer
    self.bytes = bytes
  }
}

/// One answer of a submit.
package struct SubmittedInput: Sendable {
  package var callID: String
  package var answer: InputAnswer
  package var bytes: Int

  package init(callID: String, answer: InputAnswer, bytes: Int) {
    self.callID = callID
    self.answer = answer
    self.bytes = bytes
  }
}

/// What `run.submitToolResults` and its relatives give a run. A kind that is nil is not given; one that is empty is, and covers nothing.
package struct Submission: Sendable {
  package var results: [SubmittedResult]?
  package var approvals: [SubmittedApproval]?
  package var inputs: [SubmittedInput]?
  package var isPartial: Bool
  /// Replaces the run's plain tools: a JSON array.
  package var tools: CarriedJSON?
  package var delivery: Delivery?
  /// `delivery` was asked for, and is not what fits the client.
  package var insistsOnDelivery = false
  package var canInvoke: Bool

  package init(
    results: [SubmittedResult]?, approvals: [SubmittedApproval]? = nil, inputs: [SubmittedInput]? = nil, isPartial: Bool,
    tools: CarriedJSON? = nil, delivery: Delivery? = nil, canInvoke: Bool = false
  ) {
    self.results = results
    self.approvals = approvals
    self.inputs = inputs
    self.isPartial = isPartial
    self.tools = tools
    self.delivery = delivery
    self.canInvoke = canInvoke
  }

  /// By call, how long what it gives for it first is.
  var sizes: [String: Int] {
    let all =
      (results ?? []).map { ($0.callID, $0.bytes) } + (approvals ?? []).map { ($0.callID, $0.bytes) }
      + (inputs ?? []).map { ($0.callID, $0.bytes) }
    return Dictionary(all, uniquingKeysWith: { first, _ in first })
  }
}

package struct Verdicts: Sendable, Equatable {
  package private(set) var list: [(callID: String, verdict: Verdict)] = []
  /// Where in `list` the verdict on a call stands.
  private var places: [String: Int] = [:]
  package init() {}

  mutating func set(_ callID: String, _ verdict: Verdict) {
    if let place = places[callID] {
      list[place].verdict = verdict
    } else {
      places[callID] = list.count
      list.append((callID, verdict))
    }
  }

  package var json: CarriedJSON {
    var writer = JSONWriter()
    writer.beginObject()
    for (callID, verdict) in list {
      writer.key(escaping: callID)
      writer.string(verdict.rawValue)
    }
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }

  package static func == (a: Verdicts, b: Verdicts) -> Bool {
    a.list.map(\.callID) == b.list.map(\.callID) && a.list.map(\.verdict) == b.list.map(\.verdict)
  }
}
