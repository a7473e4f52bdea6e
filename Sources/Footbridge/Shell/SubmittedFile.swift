import AgentRuntime
import JSON

/// The results of a submit, read from a file or standard input in any of the shapes that people write.
struct SubmittedFile {
  /// Where the results come from, for messages.
  let name: String
  var results: [SubmittedResult] = []
  var isPartial = false
  /// A list of tools that replace the run's plain ones.
  var tools: CarriedJSON?

  /// `[{callId, ...}]`, `{results: [...], partial?, tools?}`, or `{callId: ToolResult or text}`.
  /// - Throws: usage, with the place of what is wrong.
  init(_ text: Bytes, from name: String, for runID: ULID) throws(StartupError) {
    self.name = name
    let json = try RunFiles.json(text, from: name)
    switch json.kind {
    case .array: try readList(json, at: "")
    case .object:
      let members: [String: CarriedJSON]
      do throws(JSONError) { members = try json.uniqueMembers() } catch { throw wrong(error.pointer ?? "", error.message) }
      if members["results"] != nil { try readParams(json, for: runID) } else { try readMap(json) }
    default: throw wrong("", "must be a list of results, an object with results, or an object of results by call id")
    }
  }

  /// One result, given on the command line.
  init(text: String, for callID: ULID) {
    name = "--text"
    var result = ToolResult()
    result.content = [.text(text)]
    results = [SubmittedResult(callID: callID.text, result: result, bytes: text.utf8.count)]
  }

  private mutating func readParams(_ json: CarriedJSON, for runID: ULID) throws(StartupError) {
    try json.forEachMember { (member, value) throws(StartupError) in
      let place = "/" + JSONPointer.escape(member)
      switch member {
      case "results":
        guard value.kind == .array else { throw wrong(place, "must be a list") }
        try readList(value, at: place)
      case "partial":
        guard let flag = value.boolValue else { throw wrong(place, "must be true or false") }
        isPartial = flag
      case "tools":
        guard value.kind == .array else { throw wrong(place, "must be a list") }
        tools = value
      case "runId":
        guard value.stringValue == runID.text else { throw wrong(place, "names another run than the command line") }
      case "_meta", "wait", "delivery": break
      case "approvals", "inputs": throw wrong(place, "is not there in this release")
      default:
        throw wrong(place, "is not a member of a submit: there are results, partial and tools")
      }
    }
  }

  private mutating func readList(_ list: CarriedJSON, at pointer: String) throws(StartupError) {
    for (index, value) in list.elements.enumerated() {
      let place = "\(pointer)/\(index)"
      guard value.kind == .object else { throw wrong(place, "must be an object") }
      guard let callID = value["callId"] else { throw wrong(place + "/callId", "is required") }
      guard let text = callID.stringValue else { throw wrong(place + "/callId", "must be a string") }
      try read(value, of: text, at: place)
    }
  }

  private mutating func readMap(_ map: CarriedJSON) throws(StartupError) {
    try map.forEachMember { (callID, value) throws(StartupError) in
      let place = "/" + JSONPointer.escape(callID)
      guard ULID(callID) != nil else { throw wrong(place, "is not a call id; nor is there a member 'results'") }
      if value.kind == .string {
        var result = ToolResult()
        result.content = [.text(.inline(value))]
        results.append(SubmittedResult(callID: callID, result: result, bytes: value.bytes.count))
      } else {
        guard value.kind == .object else { throw wrong(place, "must be a result, or its text") }
        try read(value, of: callID, at: place)
      }
    }
  }

  private mutating func read(_ value: CarriedJSON, of callID: String, at pointer: String) throws(StartupError) {
    do throws(JSONError) { try value.check(carrying: ToolResult.carriedPaths, limits: JSONLimits(), at: pointer) } catch {
      throw wrong(error.pointer ?? pointer, error.message)
    }
    do throws(RuntimeError) {
      let result = try ToolResult(reading: value, at: pointer)
      try checkText(result, at: pointer)
      results.append(SubmittedResult(callID: callID, result: result, bytes: value.bytes.count))
    } catch { throw wrong(error.pointer ?? pointer, error.message) }
  }

  /// A place for a text may name a blob on the wire. A file can name none: blobs belong to connections.
  private func checkText(_ result: ToolResult, at pointer: String) throws(RuntimeError) {
    for (index, block) in result.content.enumerated() where block.type != "json" {
      for member in block.members where member.name != "resource" {
        guard case .inline(let value) = member.value, value.hasMember("$blob") else { continue }
        throw .invalidParams("must be a string", at: "\(pointer)/content/\(index)/\(member.name)")
      }
    }
  }

  private func wrong(_ pointer: String, _ message: String) -> StartupError {
    StartupError(status: .usage, message: "\(name): \(pointer.isEmpty ? "" : pointer + ": ")\(message)")
  }
}
