/// One JSON value as the exact bytes it came in: numbers, member order, duplicates and escapes stay as they are.
///
/// The bytes are valid RFC 8259 without white space around them; whoever makes one proves that (`init(validating:)`) or knows it (`init(trusted:)`).
package struct CarriedJSON: Sendable, Equatable {
  package let bytes: Bytes

  package enum Kind: Sendable { case object, array, string, number, bool, null }

  /// Takes bytes that a scan has validated or that the bridge has written itself.
  package init(trusted bytes: Bytes) { self.bytes = bytes }

  /// - Throws: `JSONError` with the offset of what is wrong.
  package init(validating text: Bytes, limits: JSONLimits = JSONLimits()) throws(JSONError) {
    try self.init(validating: text, limits: limits, isBytewise: false)
  }

  /// By the slow path alone, for tests that compare the two.
  package init(validatingBytewise text: Bytes, limits: JSONLimits = JSONLimits()) throws(JSONError) {
    try self.init(validating: text, limits: limits, isBytewise: true)
  }

  private init(validating text: Bytes, limits: JSONLimits, isBytewise: Bool) throws(JSONError) {
    let range = try unsafe text.withUnsafeBytes { (raw) throws(JSONError) -> Range<Int> in
      var scanner = unsafe JSONScanner(raw, maxDepth: limits.maxDepth, isBytewise: isBytewise)
      scanner.skipWhitespace()
      let start = scanner.position
      try scanner.skipValue(depth: 0)
      let stop = scanner.position
      scanner.skipWhitespace()
      guard scanner.position == scanner.end else { throw scanner.error(.trailingData, "something follows the value") }
      return start..<stop
    }
    bytes = text[range]
  }

  package static let emptyObject = CarriedJSON(trusted: Bytes("{}"))
  package static let null = CarriedJSON(trusted: Bytes("null"))

  /// `text` as a JSON string.
  package init(string text: String) {
    var writer = JSONWriter(capacity: text.utf8.count + 16)
    writer.string(text)
    self.init(trusted: writer.finish())
  }

  package var kind: Kind {
    switch bytes[0] {
    case 0x7B: .object
    case 0x5B: .array
    case 0x22: .string
    case 0x74, 0x66: .bool
    case 0x6E: .null
    default: .number
    }
  }

  package var isNull: Bool { kind == .null }
  package var boolValue: Bool? { kind == .bool ? bytes[0] == 0x74 : nil }

  /// The number when it is written as an integer, and no larger than all readers of JSON agree about.
  package var intValue: Int? {
    guard kind == .number, let value = Int(bytes.string), value.magnitude <= JSONLimits.largestInteger else { return nil }
    return value
  }
  /// The same, however the integer is written: `1.0`, `1e3`.
  package var wholeValue: Int? {
    guard kind == .number, case .value(let isNegative, let magnitude) = JSONNumber.integer(bytes), magnitude <= JSONLimits.largestInteger
    else { return nil }
    return isNegative ? -Int(magnitude) : Int(magnitude)
  }
  package var doubleValue: Double? { kind == .number ? Double(bytes.string) : nil }

  /// The text of a string value; a lone surrogate escape becomes U+FFFD.
  package var stringValue: String? {
    guard kind == .string else { return nil }
    return JSONText.unescape(bytes[1..<bytes.count - 1])
  }

  /// Calls `body` with each member of an object in order; a repeated name is seen each time. No calls for another kind.
  package func forEachMember<E>(_ body: (_ name: MemberName, _ value: CarriedJSON) throws(E) -> Void) throws(E) {
    guard kind == .object else { return }
    var position = 1
    while let (name, value, next) = member(at: position) {
      try body(name, value)
      position = next
    }
  }

  private func member(at position: Int) -> (MemberName, CarriedJSON, Int)? {
    let found = unsafe bytes.withUnsafeBytes { raw -> (Range<Int>, Range<Int>, Int)? in
      var scanner = unsafe JSONScanner(raw, maxDepth: JSONLimits.deepest, position: position)
      guard let (name, value) = takeMember(&scanner) else { return nil }
      return (name, value, scanner.position)
    }
    guard let (name, value, next) = found else { return nil }
    return (MemberName(inside: bytes[name]), CarriedJSON(trusted: bytes[value]), next)
  }

  /// Where the inside of the name and the value stand; nil at the end of the object.
  private func takeMember(_ scanner: inout JSONScanner) -> (name: Range<Int>, value: Range<Int>)? {
    do throws(JSONError) {
      scanner.skipWhitespace()
      guard scanner.current != 0x7D else { return nil }
      let nameStart = scanner.position + 1
      try scanner.skipString()
      let nameEnd = scanner.position - 1
      scanner.skipWhitespace()
      scanner.position += 1
      scanner.skipWhitespace()
      let start = scanner.position
      if let stop = bytes.rememberedEnd(ofValueAt: start) { scanner.position = stop } else { try scanner.skipValue(depth: 0) }
      let stop = scanner.position
      scanner.skipWhitespace()
      if scanner.current == 0x2C { scanner.position += 1 }
      return (nameStart..<nameEnd, start..<stop)
    } catch { preconditionFailure("a carried value was not valid: \(error)") }
  }

  /// Calls `body` with each element of an array in order. No calls for another kind.
  package func forEachElement<E>(_ body: (CarriedJSON) throws(E) -> Void) throws(E) {
    guard kind == .array else { return }
    var position = 1
    while let (value, next) = element(at: position) {
      try body(value)
      position = next
    }
  }

  private func element(at position: Int) -> (CarriedJSON, Int)? {
    let found = unsafe bytes.withUnsafeBytes { raw -> (Range<Int>, Int)? in
      var scanner = unsafe JSONScanner(raw, maxDepth: JSONLimits.deepest, position: position)
      do throws(JSONError) {
        scanner.skipWhitespace()
        guard scanner.current != 0x5D else { return nil }
        let start = scanner.position
        try scanner.skipValue(depth: 0)
        let stop = scanner.position
        scanner.skipWhitespace()
        if scanner.current == 0x2C { scanner.position += 1 }
        return (start..<stop, scanner.position)
      } catch { preconditionFailure("a carried value was not valid: \(error)") }
    }
    guard let (value, next) = found else { return nil }
    return (CarriedJSON(trusted: bytes[value]), next)
  }

  package var elements: [CarriedJSON] {
    var all: [CarriedJSON] = []
    // Most are short.
    all.reserveCapacity(4)
    forEachElement { all.append($0) }
    return all
  }

  /// The value of the first member called `name`, to the byte: Swift holds some strings equal that are different names.
  package subscript(_ name: String) -> CarriedJSON? {
    guard kind == .object else { return nil }
    var name = name
    let place = name.withUTF8 { name in
      unsafe bytes.withUnsafeBytes { raw -> Range<Int>? in
        var scanner = unsafe JSONScanner(raw, maxDepth: JSONLimits.deepest, position: 1)
        while let member = takeMember(&scanner) {
          let inside = unsafe UnsafeRawBufferPointer(rebasing: raw[member.name])
          if unsafe JSONText.hasEscape(inside) {
            if unsafe JSONText.unescape(bytes[member.name]).utf8.elementsEqual(name) { return member.value }
          } else if inside.count == name.count, unsafe inside.elementsEqual(name) {
            return member.value
          }
        }
        return nil
      }
    }
    return place.map { CarriedJSON(trusted: bytes[$0]) }
  }

  /// Members of one object by name.
  /// - Throws: `duplicateKey` with the pointer, when a name is there twice; `typeMismatch` when this is no object.
  package func uniqueMembers(at pointer: String = "") throws(JSONError) -> [String: CarriedJSON] {
    guard kind == .object else { throw JSONError(.typeMismatch, "must be an object", pointer: pointer) }
    var members: [String: CarriedJSON] = [:]
    try forEachMember { (name, value) throws(JSONError) in
      if members.updateValue(value, forKey: name.text) != nil {
        throw JSONError(.duplicateKey, "a member name is there twice", pointer: pointer + "/" + JSONPointer.escape(name.text))
      }
    }
    return members
  }
}
