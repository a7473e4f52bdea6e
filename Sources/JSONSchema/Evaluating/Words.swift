import JSON

/// The wording of messages.
enum Words {
  /// Where names and patterns are cut in a message, in characters.
  static let longest = 120
  /// Where messages are cut that are part of another one.
  static let longestQuotation = 600
  static let mostOptions = 20

  /// The text, or its first characters when it is long. By code points: a single character of Swift can be of any length.
  static func clip(_ text: String, to limit: Int = longest) -> String {
    guard text.utf8.count > limit else { return text }
    return String(String.UnicodeScalarView(text.unicodeScalars.prefix(limit))) + "…"
  }

  /// `text` in quotes, as JSON writes it.
  static func quote(_ text: String) -> String { CarriedJSON(string: clip(text)).bytes.string }

  /// A pointer as messages show it: the root as "/", the middle of a long one left out, and nothing that could break a line.
  static func place(_ pointer: String) -> String {
    guard !pointer.isEmpty else { return "/" }
    guard pointer.utf8.count > 2 * longest else { return plain(pointer) }
    return plain(clip(pointer)) + plain(String(String.UnicodeScalarView(pointer.unicodeScalars.suffix(longest))))
  }

  /// Text without quotes around it; with the escapes of JSON when a control character would otherwise show.
  static func plain(_ text: String) -> String {
    guard text.utf8.contains(where: { $0 < 0x20 }) else { return text }
    return String(CarriedJSON(string: text).bytes.string.dropFirst().dropLast())
  }

  static func names(_ names: [ExactString]) -> String {
    let shown = names.prefix(mostOptions).map { quote($0.text) }.joined(separator: ", ")
    return names.count > mostOptions ? shown + " and \(names.count - mostOptions) more" : shown
  }

  /// The values of `enum` or `const`.
  static func options(_ values: [Value]) -> String {
    if values.isEmpty { return "one of no values: nothing is allowed here" }
    let shown = values.prefix(mostOptions).map(text).joined(separator: ", ")
    let more = values.count > mostOptions ? " and \(values.count - mostOptions) more" : ""
    return (values.count == 1 ? "" : "one of ") + shown + more
  }

  /// "3 elements", "1 element".
  static func count(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

  static func number(_ number: Number) -> String { clip(number.text) }

  /// A value of the schema as JSON, cut where it is long.
  static func text(_ value: Value) -> String {
    switch value {
    case .null: return "null"
    case .bool(let value): return value ? "true" : "false"
    case .number(let value): return number(value)
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
