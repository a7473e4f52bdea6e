package import AgentRuntime
package import JSON

/// What happened to the clients of a test, in order, in words that are the same in every run: ids become names.
package final class Transcript: @unchecked Sendable {
  // Unchecked, because: a test drives all of its processes on one thread, or waits for the engine's before it looks.

  package private(set) var lines: [String] = []
  private var names: [ULID: String] = [:]
  private var counts: [String: Int] = [:]

  package init() {}

  package func note(_ line: String) { lines.append(line) }

  /// What was noted since the last time.
  package func take() -> [String] {
    defer { lines = [] }
    return lines
  }

  /// The name of a call: its tool's, and which call of that tool it is.
  package func name(of callID: ULID, tool: String = "?") -> String {
    if let name = names[callID] { return name }
    if tool == "?" { return "?" }
    counts[tool, default: 0] += 1
    let name = counts[tool] == 1 ? tool : "\(tool)-\(counts[tool] ?? 0)"
    names[callID] = name
    return name
  }

  func note(event: Bytes) { note(describe(event)) }

  /// An event on one line: what makes a difference to a run's story.
  package func describe(_ event: Bytes) -> String {
    let json = CarriedJSON(trusted: event)
    let data = json["data"] ?? .emptyObject
    let type = json["type"]?.stringValue ?? ""
    var words = ["\(json["seq"]?.intValue ?? 0)", type]
    func add(_ word: String?) { if let word { words.append(word) } }
    func text(_ name: String) -> String? { data[name].map(Self.short) }
    func call() -> String {
      guard let id = text("callId").flatMap(ULID.init) else { return text("callId") ?? "" }
      return name(of: id, tool: text("name") ?? "?")
    }
    switch type {
    case "model.started": if data["continuation"]?.boolValue == true { add("again") }
    case "model.retried": add("#\(data["attempt"]?.intValue ?? 0)")
    case "model.completed":
      add("'\(text("text") ?? "")'")
      for call in data["toolCalls"]?.elements ?? [] {
        guard let id = call["callId"]?.stringValue.flatMap(ULID.init) else { continue }
        add(name(of: id, tool: call["name"]?.stringValue ?? "?"))
      }
    case "tool.started": add("\(call())#\(data["attempt"]?.intValue ?? 0)")
    case "tool.completed":
      add(call())
      if data["isError"]?.boolValue == true { add("error") }
      add("'\(Self.content(data))'")
    case "tool.resultRejected":
      add(call())
      add(text("verdict"))
    case "run.paused":
      add(text("status"))
      for call in data["pendingToolCalls"]?.elements ?? [] { add(pending(call)) }
      add(data["error"]?["kind"]?.stringValue)
    case "run.resumed": add(text("cause"))
    case "approval.requested": add(call())
    case "approval.decided":
      add(call())
      for name in ["decision", "by", "reason", "arguments"] { add(text(name)) }
      if text("scope") == "session" { add("session") }
    case "input.requested":
      add(call())
      add("'\(text("message") ?? "")'")
    case "input.answered":
      add(call())
      for name in ["action", "by", "content"] { add(text(name)) }
    case "note.added": add("'\(text("text") ?? "")'")
    case "limit.warning": add("\(text("limit") ?? "") \(data["used"]?.intValue ?? 0)/\(data["max"]?.intValue ?? 0)")
    case "tools.changed": add((data["tools"]?.elements ?? []).compactMap { $0["name"]?.stringValue }.joined(separator: ","))
    case "run.completed", "run.error", "run.cancelled":
      add(text("status"))
      add(text("answer").map { "'\($0)'" })
      add(data["error"]?["kind"]?.stringValue)
      add(text("reason").map { "(\($0))" })
      add(text("partialText").map { "partial '\($0)'" })
    default: break
    }
    return words.joined(separator: " ")
  }

  /// A text as it is; of a long one, and of a blob, the size.
  static func short(_ value: CarriedJSON) -> String {
    if let blob = BlobReference(wire: value) { return "\(blob.type) blob of \(blob.bytes)" }
    guard value.bytes.count <= 200 else { return "\(value.kind) of \(value.bytes.count)" }
    return value.stringValue ?? value.bytes.string
  }

  private func pending(_ call: CarriedJSON) -> String {
    let id = call["callId"]?.stringValue.flatMap(ULID.init)
    let called = id.map { name(of: $0, tool: call["name"]?.stringValue ?? "?") } ?? "?"
    let need = call["needs"]?.stringValue ?? ""
    return "\(called)\(need == "result" ? "#\(call["attempt"]?.intValue ?? 0)" : " \(need)")-\(call["state"]?.stringValue ?? "")"
  }

  private static func content(_ data: CarriedJSON) -> String {
    guard let content = data["content"] else { return "" }
    if content.kind != .array { return short(content) }
    return content.elements.map { short($0["text"] ?? $0) }.joined(separator: "|")
  }
}
