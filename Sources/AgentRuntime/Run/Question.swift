package import JSON

/// A call of the built-in tool `ask_user`, as MCP's `elicitation/create` puts it to a person: a message and a flat form.
///
/// https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation
package struct Question: Sendable, Equatable {
  package static let toolName = "ask_user"
  /// The member of the form when the question has one answer.
  static let answerName = "answer"

  /// A JSON string.
  package let message: CarriedJSON
  /// An object schema whose members are texts, numbers, truth values or choices.
  package let schema: CarriedJSON

  /// Why a call cannot be asked, in words for the model.
  struct Unaskable: Error { let words: String }

  /// - Parameter arguments: They fit the tool's `inputSchema`.
  init(_ arguments: CarriedJSON) throws(Unaskable) {
    guard let message = arguments["question"], message.kind == .string else { throw Unaskable(words: "question must be a text.") }
    self.message = message
    let options = arguments["options"].flatMap { $0.isNull ? nil : $0 }
    let schema = arguments["schema"].flatMap { $0.isNull ? nil : $0 }
    if options != nil, schema != nil { throw Unaskable(words: "Give options or schema, not both.") }
    if let options {
      let choices = options.elements.compactMap(\.stringValue)
      if choices.isEmpty { throw Unaskable(words: "options must not be empty.") }
      if Set(choices).count != choices.count { throw Unaskable(words: "options has a choice twice.") }
      self.schema = Self.form { writer in
        writer.member("type", "string")
        writer.member("enum", options)
      }
    } else if let schema {
      self.schema = try FormSchema.form(schema)
    } else {
      self.schema = Self.form { $0.member("type", "string") }
    }
  }

  /// A form with the one member `answer`.
  static func form(_ answer: (inout JSONWriter) -> Void) -> CarriedJSON {
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("type", "object")
    writer.key("properties")
    writer.beginObject()
    writer.key(escaping: answerName)
    writer.beginObject()
    answer(&writer)
    writer.endObject()
    writer.endObject()
    writer.key("required")
    writer.beginArray()
    writer.string(answerName)
    writer.endArray()
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }

  /// A text as the answer to a question that has one.
  package static func answer(_ text: String) -> InputAnswer {
    var writer = JSONWriter(capacity: text.utf8.count + 32)
    writer.beginObject()
    writer.key(escaping: answerName)
    writer.string(text)
    writer.endObject()
    return InputAnswer(.accept, content: CarriedJSON(trusted: writer.finish()))
  }

  /// The tool as a model sees it.
  package static let tool = Tool(
    name: toolName,
    description: """
      Asks the user a question and waits for the answer. With options, the user picks one of them. With schema, the user fills in a form: a flat \
      JSON Schema object whose properties are strings, numbers, integers, booleans or enums. The answer comes as JSON: {"answer": ...}, or the \
      members of the schema.
      """,
    inputSchema: CarriedJSON(
      trusted: Bytes(
        """
        {"type":"object","properties":{"question":{"type":"string","description":"What to ask."},\
        "options":{"type":"array","items":{"type":"string"},"minItems":1,"description":"The choices, when the answer is one of them."},\
        "schema":{"type":"object","description":"The form to fill in, when one text is not enough."}},"required":["question"]}
        """)))
}

/// What a person says to a question: the result of `elicitation/create`, and an entry of `run.submitInput`.
package struct InputAnswer: Sendable, Equatable {
  package enum Action: String, Sendable { case accept, decline, cancel }

  package var action: Action
  /// Of `accept`.
  package var content: CarriedJSON?

  package init(_ action: Action, content: CarriedJSON? = nil) {
    self.action = action
    self.content = action == .accept ? content ?? .emptyObject : nil
  }

  /// What in it is only carried.
  package static let carriedPaths: CarriedPaths = ["/content", "/_meta"]

  /// - Throws: `invalidParams` with the pointer of what is missing or wrong. Whether the content fits is judged later, with the question at hand.
  package init(reading value: CarriedJSON, at pointer: String = "") throws(RuntimeError) {
    guard value.kind == .object else { throw .invalidParams("must be an object", at: pointer) }
    guard let word = value["action"] else { throw .invalidParams("is required", at: pointer + "/action") }
    guard let action = word.stringValue.flatMap(Action.init(rawValue:)) else {
      throw .invalidParams("must be accept, decline or cancel", at: pointer + "/action")
    }
    self.init(action, content: value["content"].flatMap { $0.isNull ? nil : $0 })
  }
}
