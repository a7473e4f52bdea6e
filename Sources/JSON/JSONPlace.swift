import CJansson

/// A value while a type decodes it.
@safe final class JSONPlace: Decoder {
  let spot: JSONSpot
  /// The exact bytes of the children in their order, found by one scan when the first of them is asked for.
  private var slices: [CarriedJSON]?
  /// Which of them is whose.
  private var order: [UnsafeMutablePointer<json_t>: Int] = unsafe [:]

  init(_ spot: JSONSpot) { self.spot = spot }

  /// The place as jansson has it; another one when it was only carried and is parsed now.
  func parsed() throws(JSONError) -> JSONPlace {
    let parsed = try spot.parsed()
    return parsed.document === spot.document ? self : JSONPlace(parsed)
  }

  var userInfo: [CodingUserInfoKey: Any] { [:] }

  var codingPath: [any CodingKey] {
    guard let way = spot.way else { return [] }
    switch way.by {
    case .member(let name): return way.from.codingPath + [JSONKey(stringValue: name)]
    case .element(let index): return way.from.codingPath + [JSONKey(intValue: index)]
    }
  }

  /// The exact bytes of a child of this container, which is parsed.
  func slice(of child: UnsafeMutablePointer<json_t>, _ token: JSONSpot.Token) -> CarriedJSON {
    if slices == nil { findSlices() }
    guard let slices else { preconditionFailure("just set") }
    switch token {
    case .element(let index): return slices[index]
    case .member:
      guard let index = unsafe order[child] else { preconditionFailure("a member of the parsed value is not in its text") }
      return slices[index]
    }
  }

  /// Parsed members have the order of the text. They are told apart by identity, since two names may be one as strings; jansson has
  /// one value for all `null`, `true` or `false`, and these have one text too.
  private func findSlices() {
    let container = spot.carried
    var found = container.elements
    container.forEachMember { found.append($1) }
    slices = found
    guard container.kind == .object else { return }
    var index = 0
    unsafe spot.document.forEachMember(of: spot.value) { _, value in
      unsafe order[value] = index
      index += 1
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
    self.place = try place.parsed()
    object = self.place.spot
    guard unsafe object.value.pointee.type == JSON_OBJECT else { throw object.error(.typeMismatch, "must be an object") }
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

  /// The member unless it is absent or null: one look where the default implementations of the protocol take three.
  private func present(_ key: Key) -> JSONSpot? {
    let name = key.stringValue
    guard let value = unsafe object.document.member(name, of: object.value) else { return nil }
    let spot = unsafe JSONSpot(object.document, value, (place, .member(name)))
    return spot.isNull ? nil : spot
  }

  func decodeIfPresent(_: Bool.Type, forKey key: Key) throws -> Bool? { try present(key)?.bool() }
  func decodeIfPresent(_: String.Type, forKey key: Key) throws -> String? { try present(key)?.string() }
  func decodeIfPresent(_ type: Double.Type, forKey key: Key) throws -> Double? { try present(key)?.real(type) }
  func decodeIfPresent(_ type: Int.Type, forKey key: Key) throws -> Int? { try present(key)?.integer(type) }
  func decodeIfPresent<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T? { try present(key)?.decode(type) }

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
    self.place = try place.parsed()
    array = self.place.spot
    guard unsafe array.value.pointee.type == JSON_ARRAY else { throw array.error(.typeMismatch, "must be an array") }
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
  mutating func decode(_ type: Int.Type) throws -> Int { try next { (spot) throws(JSONError) in try spot.integer(type) } }
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
