import AgentRuntime
import BridgeProtocol
import JSON
import JSONRPC

/// The methods that give a run what it waits for.
extension BridgeService {
  /// What several methods give, as it came.
  private struct Given {
    var runID: String
    var results: [CarriedJSON]?
    var approvals: [CarriedJSON]?
    var inputs: [CarriedJSON]?
    var tools: CarriedJSON?
    var isPartial: Bool?
    var wait: Bool?
    var delivery: DeliveryMode?
  }

  func submit(_ params: RunSubmitToolResults.Params, _ ticket: Ticket) throws(RuntimeError) {
    if params.results == nil, params.approvals == nil, params.inputs == nil {
      throw .invalidParams("results, approvals or inputs is required", at: "/results")
    }
    try submit(
      Given(
        runID: params.runId, results: params.results, approvals: params.approvals, inputs: params.inputs, tools: params.tools,
        isPartial: params.partial, wait: params.wait, delivery: params.delivery), ticket)
  }

  func submit(_ params: RunSubmitApprovals.Params, _ ticket: Ticket) throws(RuntimeError) {
    guard let approvals = params.approvals else { throw .invalidParams("is required", at: "/approvals") }
    try submit(
      Given(runID: params.runId, approvals: approvals, isPartial: params.partial, wait: params.wait, delivery: params.delivery), ticket)
  }

  func submit(_ params: RunSubmitInput.Params, _ ticket: Ticket) throws(RuntimeError) {
    guard let inputs = params.inputs else { throw .invalidParams("is required", at: "/inputs") }
    try submit(Given(runID: params.runId, inputs: inputs, isPartial: params.partial, wait: params.wait, delivery: params.delivery), ticket)
  }

  private func submit(_ given: Given, _ ticket: Ticket) throws(RuntimeError) {
    let runID = try runID(given.runID)
    let door = try delivery(given.delivery)
    var submission = Submission(
      results: try given.results.map(Self.results), approvals: try given.approvals.map(Self.approvals),
      inputs: try given.inputs.map(Self.inputs), isPartial: given.isPartial ?? false, tools: given.tools, delivery: door,
      canInvoke: answersInvocations && door == .invoke)
    submission.insistsOnDelivery = given.delivery != nil
    var warnings: [String] = []
    if let tools = given.tools {
      let admission = try RunAdmission(tools: tools, at: "/tools")
      if settings.isStrict, let first = admission.unknownMembers.first { throw .invalidParams("is not known (--strict)", at: first) }
      warnings = admission.warnings
    }
    let (read, noted) = (submission, warnings)
    host.post { [self] engine in
      if ticket.request.isCancelled { return }
      var submission = read
      do throws(RuntimeError) {
        if let tools = submission.tools { try engine.checkSchemas(ofTools: tools, at: "/tools") }
        try submission.resolveBlobs(outbox, engine)
      } catch { return fail(ticket, error, engine) }
      subscribe(runID, after: nil, engine)
      engine.submit(runID, submission, wait: given.wait ?? true) {
        ticket.wait = $0
      } reply: { [self] in
        answer(ticket, $0.noting(noted), engine)
      }
    }
  }

  // MARK: Reading

  private static func results(_ list: [CarriedJSON]) throws(RuntimeError) -> [SubmittedResult] {
    try entries(of: list, at: "/results") { (value, callID, place) throws(RuntimeError) in
      SubmittedResult(callID: callID, result: try ToolResult(reading: value, at: place), bytes: value.bytes.count)
    }
  }

  private static func approvals(_ list: [CarriedJSON]) throws(RuntimeError) -> [SubmittedApproval] {
    try entries(of: list, at: "/approvals") { (value, callID, place) throws(RuntimeError) in
      SubmittedApproval(callID: callID, answer: try ApprovalAnswer(reading: value, at: place), bytes: value.bytes.count)
    }
  }

  private static func inputs(_ list: [CarriedJSON]) throws(RuntimeError) -> [SubmittedInput] {
    try entries(of: list, at: "/inputs") { (value, callID, place) throws(RuntimeError) in
      SubmittedInput(callID: callID, answer: try InputAnswer(reading: value, at: place), bytes: value.bytes.count)
    }
  }

  private static func entries<Entry>(
    of list: [CarriedJSON], at pointer: String, _ read: (CarriedJSON, _ callID: String, _ place: String) throws(RuntimeError) -> Entry
  ) throws(RuntimeError) -> [Entry] {
    var entries: [Entry] = []
    for (index, value) in list.enumerated() {
      let place = "\(pointer)/\(index)"
      guard value.kind == .object else { throw .invalidParams("must be an object", at: place) }
      guard let callID = value["callId"] else { throw .invalidParams("is required", at: place + "/callId") }
      guard let text = callID.stringValue else { throw .invalidParams("must be a string", at: place + "/callId") }
      entries.append(try read(value, text, place))
    }
    return entries
  }
}

extension Submission {
  /// Puts the blobs that the entries name in place of their names.
  /// - Throws: `blob.notFound` and `invalidParams` with the pointer.
  fileprivate mutating func resolveBlobs(_ outbox: Outbox, _ engine: RunEngine) throws(RuntimeError) {
    if var given = results {
      for index in given.indices where given[index].result.namesBlobs {
        given[index].result = try given[index].result.resolvingBlobs(outbox, engine, at: "/results/\(index)")
      }
      results = given
    }
    if var given = approvals {
      for index in given.indices {
        let place = "/approvals/\(index)/arguments"
        given[index].answer.arguments = try given[index].answer.arguments?.resolvingBlob(outbox, engine, at: place)
      }
      approvals = given
    }
    if var given = inputs {
      for index in given.indices {
        given[index].answer.content = try given[index].answer.content?.resolvingBlob(outbox, engine, at: "/inputs/\(index)/content")
      }
      inputs = given
    }
  }
}
