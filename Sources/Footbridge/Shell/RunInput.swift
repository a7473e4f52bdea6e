import AgentRuntime
import JSON

/// What a run was asked, as its first event has it.
enum RunInput {
  static func text(of runID: ULID, _ engine: RunEngine) throws(RuntimeError) -> String {
    let first: Bytes?
    do throws(RuntimeError) { first = try engine.events(of: runID, after: 0, limit: 1, maxBytes: 1).first?.event } catch {
      // The others are listed all the same.
      if error.isDamage { return "(\(error.message))" }
      throw error
    }
    return first.flatMap { CarriedJSON(trusted: $0)["data"]?["input"] }.map(text(of:)) ?? ""
  }

  /// A text, a blob's beginning, content blocks, or messages.
  private static func text(of value: CarriedJSON) -> String {
    switch value.kind {
    case .string: return value.stringValue ?? ""
    case .array: return value.elements.map(text(of:)).filter { !$0.isEmpty }.joined(separator: "\n")
    case .object:
      if value["$blob"] != nil { return value["preview"]?.stringValue ?? "" }
      if let content = value["content"] { return text(of: content) }
      if let part = value["text"] { return text(of: part) }
      return value["type"]?.stringValue.map { "[\($0)]" } ?? ""
    default: return ""
    }
  }
}
