import JSON

/// The wording of messages.
enum Words {
  /// Where names and patterns are cut in a message, in characters.
  static let longest = 120
  static let mostOptions = 20

  static func clip(_ text: String) -> String {
    text.utf8.count <= longest ? text : String(text.prefix(longest)) + "…"
  }

  /// `text` in quotes, as JSON writes it.
  static func quote(_ text: String) -> String { CarriedJSON(string: clip(text)).bytes.string }

  /// A pointer as messages show it: the root as "/".
  static func place(_ pointer: String) -> String {
    guard !pointer.isEmpty else { return "/" }
    return pointer.utf8.count <= 2 * longest ? pointer : String(pointer.prefix(longest)) + "…" + String(pointer.suffix(longest))
  }

  static func names(_ names: [ExactString]) -> String {
    let shown = names.prefix(mostOptions).map { quote($0.text) }.joined(separator: ", ")
    return names.count > mostOptions ? shown + " and \(names.count - mostOptions) more" : shown
  }

  /// The values of `enum` or `const`.
  static func options(_ values: [Value]) -> String {
    let shown = values.prefix(mostOptions).map(text).joined(separator: ", ")
    let more = values.count > mostOptions ? " and \(values.count - mostOptions) more" : ""
    return (values.count == 1 ? "" : "one of ") + shown + more
  }

  /// "3 elements", "1 element".
  static func count(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

  /// A value of the schema as JSON, cut where it is long.
  static func text(_ value: Value) -> String {
    switch value {
    case .null: return "null"
    case .bool(let value): return value ? "true" : "false"
    case .number(let number): return clip(number.text)
    case .string(let text): return quote(text.text)
    case .array(let elements): return elements.weight > 12 ? "an array" : "[" + elements.all.map(text).joined(separator: ",") + "]"
    case .object(let members):
      if members.weight > 12 { return "an object" }
      return "{" + members.all.map { quote($0.name.text) + ":" + text($0.value) }.joined(separator: ",") + "}"
    }
  }

  static func message(for error: ValueError) -> String {
    switch error.reason {
    case .duplicate(let name): "\(quote(name.text)) is there twice at \(place(error.pointer))"
    case .tooDeep: "\(place("")) is nested deeper than \(ValueParser.deepest) levels"
    case .tooMany: "\(place("")) holds too many values"
    }
  }
}
