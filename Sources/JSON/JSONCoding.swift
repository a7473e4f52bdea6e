/// Codable values to and from JSON.
package enum JSONCoding {
  /// Decodes a value that is valid JSON already.
  ///
  /// Members that the type does not ask for are ignored. Places in `paths` keep their exact bytes and may repeat names; decode them as `CarriedJSON`.
  /// - Throws: `duplicateKey`, `tooManyNodes`, or, with the pointer of the missing or wrong member, `typeMismatch`, `missingMember`, `invalidValue`.
  package static func decode<T: Decodable>(
    _ type: T.Type, from json: CarriedJSON, carrying paths: CarriedPaths = .none, limits: JSONLimits = JSONLimits(),
    at pointer: String = ""
  ) throws(JSONError) -> T {
    let document = try JSONDocument(json, carrying: paths, limits: limits, at: pointer)
    return try JSONSpot(document).decode(type)
  }

  /// Writes members in the order in which the type encodes them, those of a dictionary by name.
  /// - Throws: `invalidValue` for a number that is not finite and for what the type refuses to encode.
  package static func encode<T: Encodable>(_ value: T) throws(JSONError) -> CarriedJSON {
    let encoding = JSONEncoding()
    try encoding.encode(value)
    return CarriedJSON(trusted: encoding.finish())
  }

  /// The pointers of the members of an object whose names are not in `known`; none for another kind.
  package static func unknownMembers(of json: CarriedJSON, known: [String], at pointer: String = "") -> [String] {
    var unknown: [String] = []
    json.forEachMember { name, _ in
      let name = name.text
      if !known.contains(where: { $0.utf8.elementsEqual(name.utf8) }) { unknown.append(pointer + "/" + JSONPointer.escape(name)) }
    }
    return unknown
  }
}

extension CarriedJSON: Codable {
  /// The exact bytes, wherever the value stands.
  package init(from decoder: any Decoder) throws {
    guard let place = decoder as? JSONPlace else { preconditionFailure("CarriedJSON decodes from JSONCoding only") }
    self = place.spot.carried
  }

  package func encode(to encoder: any Encoder) throws {
    guard let encoder = encoder as? JSONEncodingPlace else { preconditionFailure("CarriedJSON encodes to JSONCoding only") }
    encoder.encode(self)
  }
}

extension Decoder {
  /// An error about the value that is decoded, or about its member `key`; `message` goes on from the value ("must be positive").
  package func invalid(_ message: String, _ key: (any CodingKey)? = nil) -> JSONError {
    var pointer = (self as? JSONPlace)?.spot.pointer
    if let name = key?.stringValue { pointer = pointer.map { $0 + "/" + JSONPointer.escape(name) } }
    return JSONError(.invalidValue, message, pointer: pointer)
  }
}

/// A step of a coding path.
struct JSONKey: CodingKey {
  let stringValue: String
  let intValue: Int?

  init(stringValue: String) {
    self.stringValue = stringValue
    intValue = nil
  }

  init(intValue: Int) {
    stringValue = String(intValue)
    self.intValue = intValue
  }
}

/// Dictionaries whose keys are member names.
protocol JSONNamedValues {}

extension Dictionary: JSONNamedValues where Key == String {}

/// Dictionaries that are written in the order of their keys, as their own changes from process to process.
protocol JSONOrderedEncodable {
  func encodeInOrder(to encoder: JSONEncodingPlace) throws(JSONError)
}

extension Dictionary: JSONOrderedEncodable where Key == String, Value: Encodable {
  func encodeInOrder(to encoder: JSONEncodingPlace) throws(JSONError) {
    let object = encoder.beginObject()
    for name in keys.sorted() {
      guard let value = self[name] else { continue }
      encoder.encoding.key(name, in: object)
      try encoder.encoding.encode(value)
    }
  }
}
