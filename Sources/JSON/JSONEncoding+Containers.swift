/// The members of an object that a type encodes.
struct JSONMemberEncoding<Key: CodingKey>: KeyedEncodingContainerProtocol {
  let encoding: JSONEncoding
  let container: JSONEncoding.Container

  var codingPath: [any CodingKey] { encoding.codingPath }

  /// Announces a member; the value that comes next is its.
  private func member(_ key: some CodingKey) -> JSONEncodingPlace {
    encoding.key(key.stringValue, in: container)
    return JSONEncodingPlace(encoding: encoding, depth: encoding.depth)
  }

  func encodeNil(forKey key: Key) throws { member(key).encodeNil() }
  func encode(_ value: Bool, forKey key: Key) throws { member(key).encode(value) }
  func encode(_ value: String, forKey key: Key) throws { member(key).encode(value) }
  func encode(_ value: Double, forKey key: Key) throws { try member(key).encode(value) }
  func encode(_ value: Float, forKey key: Key) throws { try member(key).encode(value) }
  func encode(_ value: Int, forKey key: Key) throws { member(key).encode(value) }
  func encode(_ value: Int8, forKey key: Key) throws { member(key).encode(value) }
  func encode(_ value: Int16, forKey key: Key) throws { member(key).encode(value) }
  func encode(_ value: Int32, forKey key: Key) throws { member(key).encode(value) }
  func encode(_ value: Int64, forKey key: Key) throws { member(key).encode(value) }
  func encode(_ value: UInt, forKey key: Key) throws { member(key).encode(value) }
  func encode(_ value: UInt8, forKey key: Key) throws { member(key).encode(value) }
  func encode(_ value: UInt16, forKey key: Key) throws { member(key).encode(value) }
  func encode(_ value: UInt32, forKey key: Key) throws { member(key).encode(value) }
  func encode(_ value: UInt64, forKey key: Key) throws { member(key).encode(value) }
  func encode<T: Encodable>(_ value: T, forKey key: Key) throws { try member(key).encode(value) }

  func nestedContainer<Inner: CodingKey>(keyedBy: Inner.Type, forKey key: Key) -> KeyedEncodingContainer<Inner> {
    member(key).container(keyedBy: keyedBy)
  }

  func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { member(key).unkeyedContainer() }
  func superEncoder() -> any Encoder { member(JSONKey(stringValue: "super")) }
  func superEncoder(forKey key: Key) -> any Encoder { member(key) }
}

/// The elements of an array that a type encodes.
struct JSONElementEncoding: UnkeyedEncodingContainer {
  let encoding: JSONEncoding
  let container: JSONEncoding.Container

  var codingPath: [any CodingKey] { encoding.codingPath }
  var count: Int { encoding.count(of: container) }

  /// Announces an element; the value that comes next is it.
  private func element() -> JSONEncodingPlace {
    encoding.element(in: container)
    return JSONEncodingPlace(encoding: encoding, depth: encoding.depth)
  }

  func encodeNil() throws { element().encodeNil() }
  func encode(_ value: Bool) throws { element().encode(value) }
  func encode(_ value: String) throws { element().encode(value) }
  func encode(_ value: Double) throws { try element().encode(value) }
  func encode(_ value: Float) throws { try element().encode(value) }
  func encode(_ value: Int) throws { element().encode(value) }
  func encode(_ value: Int8) throws { element().encode(value) }
  func encode(_ value: Int16) throws { element().encode(value) }
  func encode(_ value: Int32) throws { element().encode(value) }
  func encode(_ value: Int64) throws { element().encode(value) }
  func encode(_ value: UInt) throws { element().encode(value) }
  func encode(_ value: UInt8) throws { element().encode(value) }
  func encode(_ value: UInt16) throws { element().encode(value) }
  func encode(_ value: UInt32) throws { element().encode(value) }
  func encode(_ value: UInt64) throws { element().encode(value) }
  func encode<T: Encodable>(_ value: T) throws { try element().encode(value) }

  func nestedContainer<Inner: CodingKey>(keyedBy: Inner.Type) -> KeyedEncodingContainer<Inner> {
    element().container(keyedBy: keyedBy)
  }

  func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { element().unkeyedContainer() }
  func superEncoder() -> any Encoder { element() }
}
