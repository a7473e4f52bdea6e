/// Writes JSON straight to bytes; commas are its business, balance is the caller's.
package struct JSONWriter: ~Copyable {
  private var buffer: ByteBuffer
  private var needsComma = false

  package init(capacity: Int = 256) { buffer = ByteBuffer(capacity: capacity) }

  package var count: Int { buffer.count }

  /// The bytes written so far; the writer starts anew.
  package mutating func finish() -> Bytes {
    needsComma = false
    return buffer.finish()
  }

  private mutating func separate() {
    if needsComma { buffer.append(0x2C) }
    needsComma = true
  }

  package mutating func beginObject() {
    separate()
    buffer.append(0x7B)
    needsComma = false
  }

  package mutating func endObject() {
    buffer.append(0x7D)
    needsComma = true
  }

  package mutating func beginArray() {
    separate()
    buffer.append(0x5B)
    needsComma = false
  }

  package mutating func endArray() {
    buffer.append(0x5D)
    needsComma = true
  }

  /// A member name that needs no escaping.
  package mutating func key(_ name: StaticString) {
    unsafe buffer.append(
      quoting: UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount), comma: needsComma, colon: true)
    needsComma = false
  }

  /// The name of another object's member, as it stands there.
  package mutating func key(_ name: MemberName) {
    unsafe name.inside.withUnsafeBytes { unsafe buffer.append(quoting: $0, comma: needsComma, colon: true) }
    needsComma = false
  }

  package mutating func key(escaping name: String) {
    string(name)
    buffer.append(0x3A)
    needsComma = false
  }

  package mutating func string(_ text: String) {
    separate()
    buffer.append(string: text)
  }

  /// Characters that need no escaping, such as the digits of an id.
  package mutating func string<let length: Int>(plain characters: [length of UInt8]) {
    let span = characters.span
    unsafe span.withUnsafeBytes { unsafe buffer.append(quoting: $0, comma: needsComma, colon: false) }
    needsComma = true
  }

  /// Text given as bytes; what is not UTF-8 becomes U+FFFD.
  package mutating func string(utf8 text: Bytes) { string(text.string) }

  /// The text of JSON as a string; `json` is UTF-8, which what was validated is.
  package mutating func string(textOf json: Bytes) {
    separate()
    buffer.append(0x22)
    unsafe json.withUnsafeBytes { unsafe JSONText.escape($0, into: &buffer) }
    buffer.append(0x22)
  }

  package mutating func int(_ value: Int) {
    separate()
    buffer.append(decimal: value)
  }

  package mutating func bool(_ value: Bool) {
    separate()
    buffer.append(value ? "true" : "false" as StaticString)
  }

  package mutating func null() {
    separate()
    buffer.append("null" as StaticString)
  }

  /// The shortest text that reads back as the same number; null for what JSON cannot say.
  package mutating func double(_ value: Double) {
    guard value.isFinite else { return null() }
    number(value.description)
  }

  /// A number as Swift describes it.
  mutating func number(_ text: String) {
    separate()
    buffer.append(text.hasSuffix(".0") ? String(text.dropLast(2)) : text)
  }

  package mutating func value(_ value: CarriedJSON) {
    separate()
    buffer.append(value.bytes)
  }

  // Members, for the common kinds; the optional ones leave the member out when nil.

  package mutating func member(_ name: StaticString, _ text: String) {
    key(name)
    string(text)
  }

  package mutating func member(_ name: StaticString, _ value: Int) {
    key(name)
    int(value)
  }

  package mutating func member(_ name: StaticString, _ value: Bool) {
    key(name)
    bool(value)
  }

  package mutating func member(_ name: StaticString, _ value: CarriedJSON) {
    key(name)
    self.value(value)
  }

  package mutating func member(_ name: StaticString, ifPresent text: String?) {
    if let text { member(name, text) }
  }

  package mutating func member(_ name: StaticString, ifPresent value: Int?) {
    if let value { member(name, value) }
  }

  package mutating func member(_ name: StaticString, ifPresent value: Bool?) {
    if let value { member(name, value) }
  }

  package mutating func member(_ name: StaticString, ifPresent value: CarriedJSON?) {
    if let value { member(name, value) }
  }
}
