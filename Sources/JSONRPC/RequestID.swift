package import JSON

/// The id of a request: a string or a number, kept as it was written so that the answer echoes it exactly.
///
/// Two are equal when both are strings of the same text, or numbers written the same way (1 and 1.0 are two ids).
package struct RequestID: Sendable {
  /// For the wire.
  package let json: CarriedJSON
  private let isNumber: Bool
  /// What equality goes by. Bytes, because Swift holds some strings equal that differ.
  private let key: Bytes

  /// Nil for a value that cannot be an id.
  package init?(_ json: CarriedJSON) {
    switch json.kind {
    case .number:
      isNumber = true
      self.json = CarriedJSON(trusted: json.bytes.compacted())
      key = self.json.bytes
    case .string:
      isNumber = false
      self.json = CarriedJSON(trusted: json.bytes.compacted())
      let text = json.stringValue ?? ""
      // A lone surrogate escape has no text of its own, so such an id goes by its spelling.
      key = text.unicodeScalars.contains("\u{FFFD}") ? self.json.bytes : Bytes(text)
    case .object, .array, .bool, .null: return nil
    }
  }

  private init(json: CarriedJSON, isNumber: Bool, key: Bytes) {
    self.json = json
    self.isNumber = isNumber
    self.key = key
  }

  package static func string(_ text: String) -> RequestID {
    RequestID(json: CarriedJSON(string: text), isNumber: false, key: Bytes(text))
  }

  /// `text` must be a JSON number.
  package static func number(_ text: String) -> RequestID {
    let bytes = Bytes(text)
    return RequestID(json: CarriedJSON(trusted: bytes), isNumber: true, key: bytes)
  }

  package static func number(_ value: Int) -> RequestID { number(String(value)) }
}

extension RequestID: Hashable {
  package static func == (a: RequestID, b: RequestID) -> Bool { a.isNumber == b.isNumber && a.key == b.key }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(isNumber)
    hasher.combine(key)
  }
}

extension RequestID: CustomStringConvertible {
  package var description: String { json.bytes.string }
}

/// The ids of this side's own requests: "b-1", "b-2" and so on.
enum OwnID {
  static func make(_ number: Int) -> RequestID { .string("b-\(number)") }

  /// The number in an id that this side may have made.
  static func number(_ id: RequestID) -> Int? {
    guard let text = id.json.stringValue, text.hasPrefix("b-"), let number = Int(text.dropFirst(2)) else { return nil }
    return make(number) == id ? number : nil
  }
}
