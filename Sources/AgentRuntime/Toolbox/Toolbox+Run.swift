package import JSON

extension Toolbox {
  /// What the params of a `run.start` bring: the agent's registrations and the run's.
  /// - Throws: as `register`, with pointers into the params.
  package mutating func register(_ params: RunParams) throws(RuntimeError) {
    try register(tools: params.agent.tools ?? [], toolkits: params.agent.toolkits ?? [], at: .agent, pointer: "/agent")
    try register(tools: params.tools, toolkits: params.toolkits, at: .run)
  }

  /// Puts what another toolbox has at a level in the place of what this one has there.
  mutating func takeLevel(_ level: RegistrationLevel, of other: Toolbox) throws(RuntimeError) {
    guard self[level] != other[level] else { return }
    try change { (box) throws(RuntimeError) in box[level] = other[level] }
  }

  /// All tools and toolkits that are registered, whether they are offered now or not.
  var allTools: [Tool] { levels.flatMap { $0.tools + $0.toolkits.flatMap(\.tools) } }

  /// The names of the toolkits that are registered.
  var toolkitNames: [String] { registered.toolkits.map(\.toolkit.name) }
}

extension Toolbox {
  /// The context items: a list of `{key, description, value}`.
  package var contextJSON: CarriedJSON {
    var writer = JSONWriter()
    writer.beginArray()
    for item in context {
      writer.beginObject()
      writer.member("key", item.key)
      writer.member("description", item.description)
      writer.member("value", item.value)
      writer.endObject()
    }
    writer.endArray()
    return CarriedJSON(trusted: writer.finish())
  }
}

extension Augmentation {
  package var json: CarriedJSON {
    do throws(JSONError) { return try JSONCoding.encode(self) } catch {
      preconditionFailure("an augmentation holds nothing that JSON cannot say: \(error)")
    }
  }
}
