/// One run of an encoder: what is written so far and which containers are open.
///
/// Bytes leave in the order of the calls, so a container can be written to only until its parent goes on.
final class JSONEncoding {
  /// An open container; stands for it in the hands of the encoding type.
  struct Container {
    fileprivate let level: Int
    fileprivate let number: Int
  }

  private struct Level {
    let number: Int
    let isObject: Bool
    /// The present member, or the number of the present element.
    var name = ""
    var index = -1
  }

  private var writer = JSONWriter()
  private var levels: [Level] = []
  private var opened = 0
  /// A value must come: one is announced by its name or place, and `{}` stands for a type that encodes nothing.
  private var owesValue = true

  func finish() -> Bytes {
    close(to: 0)
    return writer.finish()
  }

  var depth: Int { levels.count }

  var codingPath: [any CodingKey] {
    levels.map { $0.isObject ? JSONKey(stringValue: $0.name) : JSONKey(intValue: $0.index) }
  }

  var pointer: String {
    levels.reduce("") { $0 + "/" + ($1.isObject ? JSONPointer.escape($1.name) : String($1.index)) }
  }

  /// Ends what is open within the outermost `depth` containers.
  private func close(to depth: Int) {
    if owesValue { write { $0.value(.emptyObject) } }
    while levels.count > depth {
      if levels.removeLast().isObject { writer.endObject() } else { writer.endArray() }
    }
  }

  func write(_ value: (inout JSONWriter) -> Void) {
    precondition(owesValue, "a value was encoded twice, or out of its place")
    owesValue = false
    value(&writer)
  }

  func begin(isObject: Bool) -> Container {
    write { writer in if isObject { writer.beginObject() } else { writer.beginArray() } }
    opened += 1
    levels.append(Level(number: opened, isObject: isObject))
    return Container(level: levels.count - 1, number: opened)
  }

  /// The container that the value at `depth` has begun, if it has.
  func container(at depth: Int, isObject: Bool) -> Container? {
    guard depth < levels.count else { return nil }
    precondition(levels[depth].isObject == isObject, "one value cannot be both an object and an array")
    return Container(level: depth, number: levels[depth].number)
  }

  /// Makes `container` the innermost one again.
  private func goOn(with container: Container) {
    precondition(
      container.level < levels.count && levels[container.level].number == container.number,
      "a container was written to after its parent went on")
    close(to: container.level + 1)
  }

  func key(_ name: String, in container: Container) {
    goOn(with: container)
    levels[container.level].name = name
    writer.key(escaping: name)
    owesValue = true
  }

  func element(in container: Container) {
    goOn(with: container)
    levels[container.level].index += 1
    owesValue = true
  }

  func count(of container: Container) -> Int { levels[container.level].index + 1 }

  func encode<T: Encodable>(_ value: T) throws(JSONError) {
    let place = JSONEncodingPlace(encoding: self, depth: levels.count)
    do {
      if let values = value as? any JSONOrderedEncodable { try values.encodeInOrder(to: place) } else { try value.encode(to: place) }
    } catch let error as JSONError {
      guard error.pointer == nil else { throw error }
      var placed = error
      placed.pointer = pointer
      throw placed
    } catch {
      throw JSONError(.invalidValue, "cannot be encoded", pointer: pointer)
    }
    close(to: place.depth)
  }

  func encode(_ value: some BinaryFloatingPoint & LosslessStringConvertible) throws(JSONError) {
    guard value.isFinite else { throw JSONError(.invalidValue, "is not a finite number", pointer: pointer) }
    write { $0.number(value.description) }
  }
}

/// A value while a type encodes it.
struct JSONEncodingPlace: Encoder {
  let encoding: JSONEncoding
  /// Containers around the value.
  let depth: Int

  var codingPath: [any CodingKey] { encoding.codingPath }
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func encode(_ value: CarriedJSON) { encoding.write { $0.value(value) } }

  func beginObject() -> JSONEncoding.Container {
    encoding.container(at: depth, isObject: true) ?? encoding.begin(isObject: true)
  }

  func container<Key: CodingKey>(keyedBy: Key.Type) -> KeyedEncodingContainer<Key> {
    KeyedEncodingContainer(JSONMemberEncoding<Key>(encoding: encoding, container: beginObject()))
  }

  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    JSONElementEncoding(
      encoding: encoding, container: encoding.container(at: depth, isObject: false) ?? encoding.begin(isObject: false))
  }

  func singleValueContainer() -> any SingleValueEncodingContainer { self }
}

extension JSONEncodingPlace: SingleValueEncodingContainer {
  func encodeNil() { encoding.write { $0.null() } }
  func encode(_ value: Bool) { encoding.write { $0.bool(value) } }
  func encode(_ value: String) { encoding.write { $0.string(value) } }
  func encode(_ value: Double) throws { try encoding.encode(value) }
  func encode(_ value: Float) throws { try encoding.encode(value) }
  func encode(_ value: Int) { encoding.write { $0.int(value) } }
  func encode(_ value: Int8) { encoding.write { $0.int(Int(value)) } }
  func encode(_ value: Int16) { encoding.write { $0.int(Int(value)) } }
  func encode(_ value: Int32) { encoding.write { $0.int(Int(value)) } }
  func encode(_ value: Int64) { encoding.write { $0.int(Int(value)) } }
  func encode(_ value: UInt) { encoding.write { $0.number(String(value)) } }
  func encode(_ value: UInt8) { encoding.write { $0.int(Int(value)) } }
  func encode(_ value: UInt16) { encoding.write { $0.int(Int(value)) } }
  func encode(_ value: UInt32) { encoding.write { $0.int(Int(value)) } }
  func encode(_ value: UInt64) { encoding.write { $0.number(String(value)) } }
  func encode<T: Encodable>(_ value: T) throws { try encoding.encode(value) }
}
