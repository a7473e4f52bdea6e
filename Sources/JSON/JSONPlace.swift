import CJansson

/// A value while a type decodes it.
final class JSONPlace: Decoder {
  let spot: JSONSpot
  /// The exact bytes of the children, found by one scan when the first of them is asked for.
  private var members: [String: CarriedJSON]?
  private var elements: [CarriedJSON]?

  init(_ spot: JSONSpot) { self.spot = spot }

  var userInfo: [CodingUserInfoKey: Any] { [:] }

  var codingPath: [any CodingKey] {
    guard let way = spot.way else { return [] }
    switch way.by {
    case .member(let name): return way.from.codingPath + [JSONKey(stringValue: name)]
    case .element(let index): return way.from.codingPath + [JSONKey(intValue: index)]
    }
  }

  /// The exact bytes of a child that exists.
  func slice(_ token: JSONSpot.Token) -> CarriedJSON {
    switch token {
    case .member(let name):
      if members == nil {
        var found: [String: CarriedJSON] = [:]
        spot.carried.forEachMember { found[$0] = $1 }
        members = found
      }
      guard let slice = members?[name] else { preconditionFailure("a member of the parsed value is not in its text") }
      return slice
    case .element(let index):
      if elements == nil { elements = spot.carried.elements }
      guard let elements else { preconditionFailure("just set") }
      return elements[index]
    }
  }

  /// Refuses names that differ as JSON but are one key for a dictionary, which would lose a value without a word.
  func requireDistinctNames() throws(JSONError) {
    let spot = try spot.parsed()
    guard unsafe spot.value.pointee.type == JSON_OBJECT else { return }
    var names: Set<String> = []
    var twice: String?
    unsafe spot.document.forEachMember(of: spot.value) { name, _ in if !names.insert(name).inserted { twice = name } }
    if let twice {
      throw JSONError(.duplicateKey, "a member name is there twice", pointer: spot.pointer + "/" + JSONPointer.escape(twice))
    }
  }

  func container<Key: CodingKey>(keyedBy: Key.Type) throws -> KeyedDecodingContainer<Key> {
    KeyedDecodingContainer(try JSONMembers<Key>(self))
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer { try JSONElements(self) }

  func singleValueContainer() throws -> any SingleValueDecodingContainer { self }
}

extension JSONPlace: SingleValueDecodingContainer {
  func decodeNil() -> Bool { spot.isNull }
  func decode(_: Bool.Type) throws -> Bool { try spot.bool() }
  func decode(_: String.Type) throws -> String { try spot.string() }
  func decode(_ type: Double.Type) throws -> Double { try spot.real(type) }
  func decode(_ type: Float.Type) throws -> Float { try spot.real(type) }
  func decode(_ type: Int.Type) throws -> Int { try spot.integer(type) }
  func decode(_ type: Int8.Type) throws -> Int8 { try spot.integer(type) }
  func decode(_ type: Int16.Type) throws -> Int16 { try spot.integer(type) }
  func decode(_ type: Int32.Type) throws -> Int32 { try spot.integer(type) }
  func decode(_ type: Int64.Type) throws -> Int64 { try spot.integer(type) }
  func decode(_ type: UInt.Type) throws -> UInt { try spot.integer(type) }
  func decode(_ type: UInt8.Type) throws -> UInt8 { try spot.integer(type) }
  func decode(_ type: UInt16.Type) throws -> UInt16 { try spot.integer(type) }
  func decode(_ type: UInt32.Type) throws -> UInt32 { try spot.integer(type) }
  func decode(_ type: UInt64.Type) throws -> UInt64 { try spot.integer(type) }
  func decode<T: Decodable>(_ type: T.Type) throws -> T { try spot.decode(type) }
}

/// The members of an object.
@safe struct JSONMembers<Key: CodingKey>: KeyedDecodingContainerProtocol {
  private let place: JSONPlace
  private let object: JSONSpot

  init(_ place: JSONPlace) throws(JSONError) {
    self.place = place
    object = try place.spot.parsed()
    guard unsafe object.value.pointee.type == JSON_OBJECT else { throw place.spot.error(.typeMismatch, "must be an object") }
  }

  var codingPath: [any CodingKey] { place.codingPath }

  var allKeys: [Key] {
    var keys: [Key] = []
    unsafe object.document.forEachMember(of: object.value) { name, _ in if let key = Key(stringValue: name) { keys.append(key) } }
    return keys
  }

  func contains(_ key: Key) -> Bool { unsafe object.document.member(key.stringValue, of: object.value) != nil }

  private func member(_ key: some CodingKey) throws(JSONError) -> JSONSpot {
    let name = key.stringValue
    guard let value = unsafe object.document.member(name, of: object.value) else {
      throw JSONError(.missingMember, "is required", pointer: object.pointer + "/" + JSONPointer.escape(name))
    }
    return unsafe JSONSpot(object.document, value, (place, .member(name)))
  }

  func decodeNil(forKey key: Key) throws -> Bool { try member(key).isNull }
  func decode(_: Bool.Type, forKey key: Key) throws -> Bool { try member(key).bool() }
  func decode(_: String.Type, forKey key: Key) throws -> String { try member(key).string() }
  func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try member(key).real(type) }
  func decode(_ type: Float.Type, forKey key: Key) throws -> Float { try member(key).real(type) }
  func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try member(key).integer(type) }
  func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try member(key).integer(type) }
  func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try member(key).integer(type) }
  func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try member(key).integer(type) }
  func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try member(key).integer(type) }
  func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try member(key).integer(type) }
  func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try member(key).integer(type) }
  func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { try member(key).integer(type) }
  func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { try member(key).integer(type) }
  func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { try member(key).integer(type) }
  func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T { try member(key).decode(type) }

  func nestedContainer<Inner: CodingKey>(keyedBy: Inner.Type, forKey key: Key) throws -> KeyedDecodingContainer<Inner> {
    KeyedDecodingContainer(try JSONMembers<Inner>(JSONPlace(member(key))))
  }

  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer { try JSONElements(JSONPlace(member(key))) }
  func superDecoder() throws -> any Decoder { try JSONPlace(member(JSONKey(stringValue: "super"))) }
  func superDecoder(forKey key: Key) throws -> any Decoder { try JSONPlace(member(key)) }
}

/// The elements of an array.
@safe struct JSONElements: UnkeyedDecodingContainer {
  private let place: JSONPlace
  private let array: JSONSpot
  private let elementCount: Int
  private(set) var currentIndex = 0

  init(_ place: JSONPlace) throws(JSONError) {
    self.place = place
    array = try place.spot.parsed()
    guard unsafe array.value.pointee.type == JSON_ARRAY else { throw place.spot.error(.typeMismatch, "must be an array") }
    elementCount = unsafe json_array_size(array.value)
  }

  var codingPath: [any CodingKey] { place.codingPath }
  var count: Int? { elementCount }
  var isAtEnd: Bool { currentIndex >= elementCount }

  private var current: JSONSpot? {
    guard let value = unsafe json_array_get(array.value, currentIndex) else { return nil }
    return unsafe JSONSpot(array.document, value, (place, .element(currentIndex)))
  }

  private mutating func next<R>(_ read: (JSONSpot) throws(JSONError) -> R) throws(JSONError) -> R {
    guard let current else {
      throw JSONError(.missingMember, "is required", pointer: array.pointer + "/\(currentIndex)")
    }
    let result = try read(current)
    currentIndex += 1
    return result
  }

  mutating func decodeNil() throws -> Bool {
    guard let current, current.isNull else { return false }
    currentIndex += 1
    return true
  }

  mutating func decode(_: Bool.Type) throws -> Bool { try next { (spot) throws(JSONError) in try spot.bool() } }
  mutating func decode(_: String.Type) throws -> String { try next { (spot) throws(JSONError) in try spot.string() } }
  mutating func decode(_ type: Double.Type) throws -> Double { try next { (spot) throws(JSONError) in try spot.real(type) } }
  mutating func decode(_ type: Float.Type) throws -> Float { try next { (spot) throws(JSONError) in try spot.real(type) } }
  mutating func decode(_ type: Int.Type) throws -> Int { try integer(type) }
  mutating func decode(_ type: Int8.Type) throws -> Int8 { try integer(type) }
  mutating func decode(_ type: Int16.Type) throws -> Int16 { try integer(type) }
  mutating func decode(_ type: Int32.Type) throws -> Int32 { try integer(type) }
  mutating func decode(_ type: Int64.Type) throws -> Int64 { try integer(type) }
  mutating func decode(_ type: UInt.Type) throws -> UInt { try integer(type) }
  mutating func decode(_ type: UInt8.Type) throws -> UInt8 { try integer(type) }
  mutating func decode(_ type: UInt16.Type) throws -> UInt16 { try integer(type) }
  mutating func decode(_ type: UInt32.Type) throws -> UInt32 { try integer(type) }
  mutating func decode(_ type: UInt64.Type) throws -> UInt64 { try integer(type) }
  mutating func decode<T: Decodable>(_ type: T.Type) throws -> T { try next { (spot) throws(JSONError) in try spot.decode(type) } }

  private mutating func integer<T: FixedWidthInteger>(_ type: T.Type) throws(JSONError) -> T {
    try next { (spot) throws(JSONError) in try spot.integer(type) }
  }

  mutating func nestedContainer<Inner: CodingKey>(keyedBy: Inner.Type) throws -> KeyedDecodingContainer<Inner> {
    KeyedDecodingContainer(try next { (spot) throws(JSONError) in try JSONMembers<Inner>(JSONPlace(spot)) })
  }

  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
    try next { (spot) throws(JSONError) in try JSONElements(JSONPlace(spot)) }
  }

  mutating func superDecoder() throws -> any Decoder { try next { (spot) throws(JSONError) in JSONPlace(spot) } }
}
