import AgentRuntime
import JSON

/// The members of a request besides the messages: those of the bridge, and those that `providerOptions` gives.
struct RequestMembers {
  private var members: [(name: String, value: [RequestPiece])] = []

  mutating func set(_ name: String, _ value: CarriedJSON) { members.append((name, [.plain(value.bytes)])) }
  mutating func set(_ name: String, _ value: Int) { set(name, CarriedJSON(trusted: Bytes(String(value)))) }
  mutating func set(_ name: String, _ value: Bool) { set(name, CarriedJSON(trusted: Bytes(value ? "true" : "false"))) }
  mutating func set(_ name: String, _ value: String) { set(name, CarriedJSON(string: value)) }
  mutating func set(_ name: String, _ value: [RequestPiece]) { members.append((name, value)) }

  mutating func set(_ name: String, _ value: Double) {
    var writer = JSONWriter(capacity: 32)
    writer.double(value)
    set(name, CarriedJSON(trusted: writer.finish()))
  }

  /// Members of `options` take the place of the bridge's, but for those it must `own`, among which are the tools (`providerTools`). An option's `rivals` go too: other names for the same.
  mutating func merge(_ options: CarriedJSON?, owned: [String], rivals: [[String]] = []) {
    options?.forEachMember { name, value in
      let name = name.text
      if owned.contains(name) { return }
      let replaced = rivals.first { $0.contains(name) } ?? [name]
      members.removeAll { replaced.contains($0.name) }
      set(name, CarriedJSON(trusted: EscapedText.wellFormed(value.bytes)))
    }
  }

  /// The request: these members, and after them `messages` as the member `name`.
  func body(_ name: String, _ messages: [RequestPiece]) -> HTTPBody {
    var writer = PartWriter()
    writer.raw("{")
    for (name, value) in members {
      writer.string(name)
      writer.raw(":")
      for piece in value { writer.raw(piece) }
      writer.raw(",")
    }
    writer.string(name)
    writer.raw(":")
    return HTTPBody(writer.finish() + messages + [.plain(Bytes("}"))])
  }
}

extension Agent {
  /// - Throws: `invalidParams` when the options of the provider are no object.
  func checkProviderOptions() throws(RuntimeError) {
    if let providerOptions, providerOptions.kind != .object { throw .invalidParams("must be an object", at: "/providerOptions") }
    guard let reasoning else { return }
    if reasoning.kind != .object, reasoning.kind != .string {
      throw .invalidParams("must be an object such as {\"effort\": \"low\"}", at: "/reasoning")
    }
  }

  /// - Throws: `invalidParams` when the provider's own tools are no list of objects.
  func checkProviderTools() throws(RuntimeError) {
    guard let tools = providerOptions?["tools"], !tools.isNull else { return }
    if tools.kind == .array, tools.elements.allSatisfy({ $0.kind == .object }) { return }
    throw .invalidParams("must be an array of objects", at: "/providerOptions/tools")
  }

  /// Tools that the provider has itself, such as its search, as its API names them. They follow those of the run.
  var providerTools: [CarriedJSON] { providerOptions?["tools"]?.elements ?? [] }

  /// `low`, `medium`, `high` or what else a provider knows: `{"effort": ...}`, or the word alone.
  var reasoningEffort: String? { reasoning?.stringValue ?? reasoning?["effort"]?.stringValue }

  /// `{"budgetTokens": ...}`.
  var reasoningBudget: Int? { reasoning?["budgetTokens"]?.intValue }
}

enum ReasoningEffort {
  /// A budget for services that know efforts alone.
  static func nearest(_ budget: Int) -> String { budget <= 2048 ? "low" : budget <= 8192 ? "medium" : "high" }
}
