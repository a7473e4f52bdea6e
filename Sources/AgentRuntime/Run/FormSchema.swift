import JSON

/// The JSON Schemas that MCP's elicitation takes: an object of plain members, nothing nested.
enum FormSchema {
  private static let annotations: Set<String> = ["type", "title", "description", "default"]
  private static let formats: Set<String> = ["email", "uri", "date", "date-time"]

  /// The schema as a form: an object schema is one already, any other is the form's one member.
  /// - Throws: what of it a form cannot be, for the model.
  static func form(_ schema: CarriedJSON) throws(Question.Unaskable) -> CarriedJSON {
    guard schema.kind == .object else { throw .init(words: "schema must be a JSON Schema object.") }
    if let pointer = schema.firstDuplicateMember() { throw .init(words: "The schema has a member twice, at \(pointer).") }
    guard schema["type"]?.stringValue == "object" || schema["properties"] != nil else {
      try checkMember(schema, at: "")
      return Question.form { writer in
        schema.forEachMember { name, value in
          writer.key(name)
          writer.value(value)
        }
      }
    }
    return try object(schema)
  }

  /// The parts that MCP names, in its order; what is said of the form as a whole says nothing to a person.
  private static func object(_ schema: CarriedJSON) throws(Question.Unaskable) -> CarriedJSON {
    let passing: Set<String> = ["$schema", "type", "properties", "required", "title", "description", "additionalProperties"]
    try schema.forEachMember { (name, value) throws(Question.Unaskable) in
      if !passing.contains(name.text) { throw refusal("", "has \(name), which a form cannot express") }
      if name == "additionalProperties", value.boolValue == nil { throw refusal("/additionalProperties", "must be true or false") }
    }
    if let type = schema["type"], type.stringValue != "object" { throw refusal("/type", "must be object") }
    guard let properties = schema["properties"], properties.kind == .object else { throw refusal("/properties", "must be an object") }
    var names: Set<String> = []
    try properties.forEachMember { (name, value) throws(Question.Unaskable) in
      names.insert(name.text)
      try checkMember(value, at: "/properties/" + JSONPointer.escape(name.text))
    }
    if names.isEmpty { throw refusal("/properties", "must not be empty") }
    if let required = schema["required"] {
      guard required.kind == .array, required.elements.allSatisfy({ $0.stringValue.map(names.contains) == true }) else {
        throw refusal("/required", "must be a list of names that properties has")
      }
    }
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("type", "object")
    writer.member("properties", properties)
    writer.member("required", ifPresent: schema["required"])
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }

  private static func refusal(_ pointer: String, _ why: String) -> Question.Unaskable {
    let place = pointer.isEmpty ? "" : " at " + pointer
    return .init(words: "The schema\(place) \(why). A form is flat: strings, numbers, integers, booleans and enums.")
  }

  /// One member of a form.
  private static func checkMember(_ member: CarriedJSON, at pointer: String) throws(Question.Unaskable) {
    guard member.kind == .object, let type = member["type"]?.stringValue else { throw refusal(pointer, "must be a schema with a type") }
    var known = annotations
    switch type {
    case "string": known.formUnion(["minLength", "maxLength", "format", "enum", "enumNames", "oneOf"])
    case "number", "integer": known.formUnion(["minimum", "maximum"])
    case "boolean": break
    case "array": known.formUnion(["minItems", "maxItems", "items"])
    default: throw refusal(pointer + "/type", "must be string, number, integer, boolean or array")
    }
    try member.forEachMember { (name, value) throws(Question.Unaskable) in
      let place = pointer + "/" + JSONPointer.escape(name.text)
      if !known.contains(name.text) { throw refusal(pointer, "has \(name.text.prefix(64)), which a form cannot express") }
      switch name {
      case "title", "description": if value.kind != .string { throw refusal(place, "must be a text") }
      case "minLength", "maxLength", "minItems", "maxItems":
        guard let count = value.intValue, count >= 0 else { throw refusal(place, "must be a count") }
      case "minimum", "maximum": if value.kind != .number { throw refusal(place, "must be a number") }
      case "format":
        guard value.stringValue.map(formats.contains) == true else { throw refusal(place, "must be email, uri, date or date-time") }
      case "enum", "enumNames": try checkTexts(value, at: place)
      case "oneOf": try checkTitled(value, at: place)
      case "items": try checkItems(value, at: place)
      default: break
      }
    }
    if type == "array", member["items"] == nil { throw refusal(pointer, "needs items") }
  }

  private static func checkTexts(_ value: CarriedJSON, at place: String) throws(Question.Unaskable) {
    guard value.kind == .array, !value.elements.isEmpty, value.elements.allSatisfy({ $0.kind == .string }) else {
      throw refusal(place, "must be a list of texts")
    }
  }

  private static func checkTitled(_ value: CarriedJSON, at place: String) throws(Question.Unaskable) {
    guard value.kind == .array, !value.elements.isEmpty,
      value.elements.allSatisfy({ $0["const"]?.kind == .string && $0["title"]?.kind == .string })
    else { throw refusal(place, "must be a list of {const, title}") }
  }

  /// Several of some choices.
  private static func checkItems(_ items: CarriedJSON, at place: String) throws(Question.Unaskable) {
    if let choices = items["enum"] { return try checkTexts(choices, at: place + "/enum") }
    if let choices = items["anyOf"] { return try checkTitled(choices, at: place + "/anyOf") }
    throw refusal(place, "must have enum or anyOf")
  }
}
