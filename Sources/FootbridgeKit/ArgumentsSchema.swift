package import JSON

/// The JSON Schema of a `Decodable` type, found by having the type decode itself from nothing and noting what it asks for.
///
/// What cannot be seen that way (a type that judges the values it decodes, a dictionary, a recursion) has the schema of anything, `{}`.
package enum ArgumentsSchema {
  package static func of(_ type: (some Decodable).Type) -> CarriedJSON {
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
  /// That, or null.
  case optional(Shape)

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

  var orNull: Shape {
    switch self {
    case .anything, .optional: self
    default: .optional(self)
    }
  }

  func write(to writer: inout JSONWriter, orNull: Bool = false) {
    if case .optional(let shape) = self { return shape.write(to: &writer, orNull: true) }
    writer.beginObject()
    writeMembers(to: &writer, orNull: orNull)
    writer.endObject()
  }

  private func writeMembers(to writer: inout JSONWriter, orNull: Bool) {
    switch self {
    case .anything, .optional: break
    case .plain(let word): Self.write(type: word, to: &writer, orNull: orNull)
    case .choice(let words):
      Self.write(type: "string", to: &writer, orNull: orNull)
      writer.key("enum")
      writer.beginArray()
      for word in words { writer.string(word) }
      if orNull { writer.null() }
      writer.endArray()
    case .list(let shape):
      Self.write(type: "array", to: &writer, orNull: orNull)
      writer.key("items")
      shape.write(to: &writer)
    case .object(let members):
      Self.write(type: "object", to: &writer, orNull: orNull)
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
  }

  private static func write(type word: String, to writer: inout JSONWriter, orNull: Bool) {
    guard orNull else { return writer.member("type", word) }
    writer.key("type")
    writer.beginArray()
    writer.string(word)
    writer.string("null")
    writer.endArray()
  }
}

/// What has been asked for so far; shared by a decoder and its containers.
private final class Found {
  var shape = Shape.anything
  /// Members that the type looked for before it decoded them: it goes on without them.
  private var optional: Set<String> = []
  /// Those that it asked about whether they are null.
  private var nullable: Set<String> = []

  func look(for name: String) { optional.insert(name) }
  func askForNull(at name: String) { nullable.insert(name) }

  func note(_ name: String, _ shape: Shape) {
    let member = (name, nullable.contains(name) ? shape.orNull : shape, !optional.contains(name))
    guard case .object(var members) = self.shape else {
      self.shape = .object([member])
      return
    }
    if !members.contains(where: { $0.name == name }) { members.append(member) }
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

  func contains(_ key: Key) -> Bool {
    found.look(for: key.stringValue)
    return true
  }

  func decodeNil(forKey key: Key) throws -> Bool {
    found.askForNull(at: key.stringValue)
    return false
  }

  func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
    found.note(key.stringValue, .of(type, depth: depth + 1))
    return try anyValue(type, depth: depth)
  }

  // One for each requirement: the generic one stands in for none of the others, which the protocol implements by `decode`. It would
  // give a type a value where it has a default, and may judge one.
  func decodeIfPresent(_ type: Bool.Type, forKey key: Key) throws -> Bool? { absent(type, key) }
  func decodeIfPresent(_ type: String.Type, forKey key: Key) throws -> String? { absent(type, key) }
  func decodeIfPresent(_ type: Double.Type, forKey key: Key) throws -> Double? { absent(type, key) }
  func decodeIfPresent(_ type: Float.Type, forKey key: Key) throws -> Float? { absent(type, key) }
  func decodeIfPresent(_ type: Int.Type, forKey key: Key) throws -> Int? { absent(type, key) }
  func decodeIfPresent(_ type: Int8.Type, forKey key: Key) throws -> Int8? { absent(type, key) }
  func decodeIfPresent(_ type: Int16.Type, forKey key: Key) throws -> Int16? { absent(type, key) }
  func decodeIfPresent(_ type: Int32.Type, forKey key: Key) throws -> Int32? { absent(type, key) }
  func decodeIfPresent(_ type: Int64.Type, forKey key: Key) throws -> Int64? { absent(type, key) }
  func decodeIfPresent(_ type: UInt.Type, forKey key: Key) throws -> UInt? { absent(type, key) }
  func decodeIfPresent(_ type: UInt8.Type, forKey key: Key) throws -> UInt8? { absent(type, key) }
  func decodeIfPresent(_ type: UInt16.Type, forKey key: Key) throws -> UInt16? { absent(type, key) }
  func decodeIfPresent(_ type: UInt32.Type, forKey key: Key) throws -> UInt32? { absent(type, key) }
  func decodeIfPresent(_ type: UInt64.Type, forKey key: Key) throws -> UInt64? { absent(type, key) }
  func decodeIfPresent<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T? { absent(type, key) }

  private func absent<T: Decodable>(_ type: T.Type, _ key: Key) -> T? {
    found.look(for: key.stringValue)
    found.askForNull(at: key.stringValue)
    found.note(key.stringValue, .of(type, depth: depth + 1))
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
  /// The type asked whether the next element is null.
  private var mayBeNull = false

  init(found: Found, depth: Int) {
    self.found = found
    self.depth = depth
  }

  mutating func decodeNil() throws -> Bool {
    mayBeNull = true
    return false
  }

  mutating func decode<T: Decodable>(_ type: T.Type) throws -> T {
    currentIndex += 1
    let shape = Shape.of(type, depth: depth + 1)
    found.shape = .list(mayBeNull ? shape.orNull : shape)
    mayBeNull = false
    return try anyValue(type, depth: depth)
  }

  mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) throws -> KeyedDecodingContainer<Nested> { throw NoValue() }
  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { throw NoValue() }
  mutating func superDecoder() throws -> any Decoder { throw NoValue() }
}

private final class Single: SingleValueDecodingContainer {
  let found: Found
  let depth: Int
  /// The type asked whether the value is null.
  private var mayBeNull = false
  var codingPath: [any CodingKey] { [] }

  init(found: Found, depth: Int) {
    self.found = found
    self.depth = depth
  }

  func decodeNil() -> Bool {
    mayBeNull = true
    return false
  }

  func decode<T: Decodable>(_ type: T.Type) throws -> T {
    let shape = Shape.of(type, depth: depth + 1)
    found.shape = mayBeNull ? shape.orNull : shape
    return try anyValue(type, depth: depth)
  }
}
