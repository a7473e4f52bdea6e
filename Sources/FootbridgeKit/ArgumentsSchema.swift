internal import JSON

/// The JSON Schema of a `Decodable` type, found by having the type decode itself from nothing and noting what it asks for.
///
/// What cannot be seen that way (a type that judges the values it decodes, a dictionary, a recursion) has the schema of anything, `{}`.
enum ArgumentsSchema {
  static func of(_ type: (some Decodable).Type) -> CarriedJSON {
    var writer = JSONWriter()
    Shape.of(type, depth: 0).write(to: &writer)
    return CarriedJSON(trusted: writer.finish())
  }
}

/// What a type asks for.
private indirect enum Shape {
  case anything
  case plain(String)
  case choice([String])
  case list(Shape)
  case object([(name: String, shape: Shape, isRequired: Bool)])

  static func of(_ type: any Decodable.Type, depth: Int) -> Shape {
    if let word = plainWord(type) { return .plain(word) }
    if let choices = (type as? any CaseIterable.Type).flatMap(words(of:)) { return .choice(choices) }
    guard depth < 16 else { return .anything }
    let probe = Probe(depth: depth)
    do { _ = try type.init(from: probe) } catch {}
    return probe.found.shape
  }

  private static func plainWord(_ type: any Decodable.Type) -> String? {
    if type == String.self { return "string" }
    if type == Bool.self { return "boolean" }
    if type == Double.self || type == Float.self { return "number" }
    return type is any FixedWidthInteger.Type ? "integer" : nil
  }

  /// The cases of an enum of strings.
  private static func words(of type: any CaseIterable.Type) -> [String]? {
    func cases<T: CaseIterable>(_ type: T.Type) -> [String]? {
      let words = type.allCases.map { ($0 as? any RawRepresentable)?.rawValue as? String }
      return words.contains(nil) || words.isEmpty ? nil : words.compactMap { $0 }
    }
    return cases(type)
  }

  func write(to writer: inout JSONWriter) {
    writer.beginObject()
    switch self {
    case .anything: break
    case .plain(let word): writer.member("type", word)
    case .choice(let words):
      writer.member("type", "string")
      writer.key("enum")
      writer.beginArray()
      for word in words { writer.string(word) }
      writer.endArray()
    case .list(let shape):
      writer.member("type", "array")
      writer.key("items")
      shape.write(to: &writer)
    case .object(let members):
      writer.member("type", "object")
      writer.key("properties")
      writer.beginObject()
      for member in members {
        writer.key(escaping: member.name)
        member.shape.write(to: &writer)
      }
      writer.endObject()
      writer.key("required")
      writer.beginArray()
      for member in members where member.isRequired { writer.string(member.name) }
      writer.endArray()
    }
    writer.endObject()
  }
}

/// What has been asked for so far; shared by a decoder and its containers.
private final class Found {
  var shape = Shape.anything

  func note(_ name: String, _ shape: Shape, isRequired: Bool) {
    guard case .object(var members) = self.shape else {
      self.shape = .object([(name, shape, isRequired)])
      return
    }
    if !members.contains(where: { $0.name == name }) { members.append((name, shape, isRequired)) }
    self.shape = .object(members)
  }
}

/// Thrown when a value would have to be known to go on.
private struct NoValue: Error {}

/// Any value of a plain type, and of types that are made of those.
private func anyValue<T: Decodable>(_ type: T.Type, depth: Int) throws -> T {
  let values: [Any] = [
    "", false, 0.0, Float(0), 0, Int8(0), Int16(0), Int32(0), Int64(0), UInt(0), UInt8(0), UInt16(0), UInt32(0), UInt64(0),
  ]
  for value in values { if let value = value as? T { return value } }
  if let type = type as? any CaseIterable.Type, let first = firstCase(type) as? T { return first }
  guard depth < 16 else { throw NoValue() }
  return try T(from: Probe(depth: depth + 1))
}

private func firstCase<T: CaseIterable>(_ type: T.Type) -> Any? { type.allCases.first }

private final class Probe: Decoder {
  let found = Found()
  let depth: Int
  var codingPath: [any CodingKey] { [] }
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  init(depth: Int) { self.depth = depth }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    if case .anything = found.shape { found.shape = .object([]) }
    return KeyedDecodingContainer(Members<Key>(found: found, depth: depth))
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer { Elements(found: found, depth: depth) }
  func singleValueContainer() throws -> any SingleValueDecodingContainer { Single(found: found, depth: depth) }
}

private struct Members<Key: CodingKey>: KeyedDecodingContainerProtocol {
  let found: Found
  let depth: Int
  var codingPath: [any CodingKey] { [] }
  var allKeys: [Key] { [] }

  func contains(_ key: Key) -> Bool { true }
  func decodeNil(forKey key: Key) throws -> Bool { false }

  func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
    found.note(key.stringValue, .of(type, depth: depth + 1), isRequired: true)
    return try anyValue(type, depth: depth)
  }

  func decodeIfPresent<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T? {
    found.note(key.stringValue, .of(type, depth: depth + 1), isRequired: false)
    return nil
  }

  func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key) throws -> KeyedDecodingContainer<Nested> {
    throw NoValue()
  }
  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer { throw NoValue() }
  func superDecoder() throws -> any Decoder { throw NoValue() }
  func superDecoder(forKey key: Key) throws -> any Decoder { throw NoValue() }
}

private struct Elements: UnkeyedDecodingContainer {
  let found: Found
  let depth: Int
  var codingPath: [any CodingKey] { [] }
  var count: Int? { 1 }
  var currentIndex = 0
  var isAtEnd: Bool { currentIndex > 0 }

  init(found: Found, depth: Int) {
    self.found = found
    self.depth = depth
  }

  mutating func decodeNil() throws -> Bool { false }

  mutating func decode<T: Decodable>(_ type: T.Type) throws -> T {
    currentIndex += 1
    found.shape = .list(.of(type, depth: depth + 1))
    return try anyValue(type, depth: depth)
  }

  mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) throws -> KeyedDecodingContainer<Nested> { throw NoValue() }
  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { throw NoValue() }
  mutating func superDecoder() throws -> any Decoder { throw NoValue() }
}

private struct Single: SingleValueDecodingContainer {
  let found: Found
  let depth: Int
  var codingPath: [any CodingKey] { [] }

  func decodeNil() -> Bool { false }

  func decode<T: Decodable>(_ type: T.Type) throws -> T {
    found.shape = .of(type, depth: depth + 1)
    return try anyValue(type, depth: depth)
  }
}
