import AgentRuntime
import JSON

/// The results of a submit, read from a file or standard input in any of the shapes that people write.
struct SubmittedFile {
  /// Where the results come from, for messages.
  let name: String
  var results: [SubmittedResult]?
  var approvals: [SubmittedApproval]?
  var inputs: [SubmittedInput]?
  var isPartial = false
  /// A list of tools that replace the run's plain ones.
  var tools: CarriedJSON?

  /// `[{callId, ...}]`, `{results?: [...], approvals?: [...], inputs?: [...], partial?, tools?}`, or `{callId: ToolResult or text}`. What has a
  /// `decision` is one, what has an `action` is an answer.
  /// - Throws: usage, with the place of what is wrong.
  init(_ text: Bytes, from name: String, for runID: ULID) throws(StartupError) {
    self.name = name
    let json = try RunFiles.json(text, from: name)
    switch json.kind {
    case .array: try readList(json, at: "")
    case .object:
      let members: [String: CarriedJSON]
      do throws(JSONError) { members = try json.uniqueMembers() } catch { throw wrong(error.pointer ?? "", error.message) }
      let isParams = ["results", "approvals", "inputs"].contains { members[$0] != nil }
      if isParams { try readParams(json, for: runID) } else { try readMap(json) }
    default: throw wrong("", "must be a list of results, an object with results, or an object of results by call id")
    }
  }

  /// One result, or one answer, given on the command line.
  init(text: String, for call: PendingCall) {
    name = "--text"
    if call.needs == .input {
      inputs = [SubmittedInput(callID: call.callID.text, answer: Question.answer(text), bytes: text.utf8.count)]
      return
    }
    var result = ToolResult()
    result.content = [.text(text)]
    results = [SubmittedResult(callID: call.callID.text, result: result, bytes: text.utf8.count)]
  }

  /// One decision on several calls.
  init(_ answer: ApprovalAnswer, for calls: [ULID]) {
    name = answer.decision == .approve ? "--approve" : "--deny"
    approvals = calls.map { SubmittedApproval(callID: $0.text, answer: answer, bytes: answer.reason?.utf8.count ?? 0) }
  }

  private mutating func readParams(_ json: CarriedJSON, for runID: ULID) throws(StartupError) {
    try json.forEachMember { (member, value) throws(StartupError) in
      let place = "/" + JSONPointer.escape(member.text)
      switch member {
      case "results", "approvals", "inputs":
        guard value.kind == .array else { throw wrong(place, "must be a list") }
        // A kind that is given empty is given all the same.
        switch member {
        case "results": results = results ?? []
        case "approvals": approvals = approvals ?? []
        default: inputs = inputs ?? []
        }
        try readList(value, at: place, as: member.text)
      case "partial":
        guard let flag = value.boolValue else { throw wrong(place, "must be true or false") }
        isPartial = flag
      case "tools":
        guard value.kind == .array else { throw wrong(place, "must be a list") }
        tools = value
      case "runId":
        guard value.stringValue == runID.text else { throw wrong(place, "names another run than the command line") }
      case "_meta", "wait", "delivery": break
      default:
        throw wrong(place, "is not a member of a submit: there are results, approvals, inputs, partial and tools")
      }
    }
  }

  private mutating func readList(_ list: CarriedJSON, at pointer: String, as kind: String? = nil) throws(StartupError) {
    if kind == nil { results = [] }
    for (index, value) in list.elements.enumerated() {
      let place = "\(pointer)/\(index)"
      guard value.kind == .object else { throw wrong(place, "must be an object") }
      guard let callID = value["callId"] else { throw wrong(place + "/callId", "is required") }
      guard let text = callID.stringValue else { throw wrong(place + "/callId", "must be a string") }
      try read(value, of: text, at: place, as: kind)
    }
    settle(kind)
  }

  /// A list of decisions or answers alone gives no results.
  private mutating func settle(_ kind: String?) {
    if kind == nil, results?.isEmpty == true, approvals != nil || inputs != nil { results = nil }
  }

  private mutating func readMap(_ map: CarriedJSON) throws(StartupError) {
    results = []
    try map.forEachMember { (name, value) throws(StartupError) in
      let callID = name.text
      let place = "/" + JSONPointer.escape(callID)
      guard ULID(callID) != nil else { throw wrong(place, "is not a call id; nor is there a member 'results'") }
      if value.kind == .string {
        var result = ToolResult()
        result.content = [.text(.inline(value))]
        results = (results ?? []) + [SubmittedResult(callID: callID, result: result, bytes: value.bytes.count)]
      } else {
        guard value.kind == .object else { throw wrong(place, "must be a result, or its text") }
        try read(value, of: callID, at: place, as: nil)
      }
    }
    settle(nil)
  }

  private mutating func read(_ value: CarriedJSON, of callID: String, at pointer: String, as kind: String?) throws(StartupError) {
    if kind == "approvals" || kind == nil && value.hasMember("decision") {
      let answer = try read(at: pointer, value, ApprovalAnswer.carriedPaths) { (value) throws(RuntimeError) in
        try ApprovalAnswer(reading: value, at: pointer)
      }
      approvals = (approvals ?? []) + [SubmittedApproval(callID: callID, answer: answer, bytes: value.bytes.count)]
      return
    }
    if kind == "inputs" || kind == nil && value.hasMember("action") {
      let answer = try read(at: pointer, value, InputAnswer.carriedPaths) { (value) throws(RuntimeError) in
        try InputAnswer(reading: value, at: pointer)
      }
      inputs = (inputs ?? []) + [SubmittedInput(callID: callID, answer: answer, bytes: value.bytes.count)]
      return
    }
    let result = try read(at: pointer, value, ToolResult.carriedPaths) { (value) throws(RuntimeError) in
      let result = try ToolResult(reading: value, at: pointer)
      try checkText(result, at: pointer)
      return result
    }
    results = (results ?? []) + [SubmittedResult(callID: callID, result: result, bytes: value.bytes.count)]
  }

  private func read<Entry>(
    at pointer: String, _ value: CarriedJSON, _ paths: CarriedPaths, _ body: (CarriedJSON) throws(RuntimeError) -> Entry
  ) throws(StartupError) -> Entry {
    do throws(JSONError) { try value.check(carrying: paths, limits: JSONLimits(), at: pointer) } catch {
      throw wrong(error.pointer ?? pointer, error.message)
    }
    do throws(RuntimeError) { return try body(value) } catch { throw wrong(error.pointer ?? pointer, error.message) }
  }

  /// A place for a text may name a blob on the wire. A file can name none: blobs belong to connections.
  private func checkText(_ result: ToolResult, at pointer: String) throws(RuntimeError) {
    for (index, block) in result.content.enumerated() where block.type != "json" {
      for member in block.members where member.name != "resource" {
        guard case .inline(let value) = member.value, value.hasMember("$blob") else { continue }
        let place = result.isPlainText ? "/content" : "/content/\(index)/\(member.name)"
        throw .invalidParams("must be a string", at: pointer + place)
      }
    }
    for (name, lines) in [("stdout", result.stdout), ("stderr", result.stderr)] {
      for (index, line) in (lines ?? []).enumerated() where line.wire.kind != .string {
        throw .invalidParams("must be a string", at: "\(pointer)/\(name)/\(index)")
      }
    }
  }

  private func wrong(_ pointer: String, _ message: String) -> StartupError {
    StartupError(status: .usage, message: "\(name): \(pointer.isEmpty ? "" : pointer + ": ")\(message)")
  }
}
