/// The name of a member as it stands in its object; decoded only when its text is asked for, as most are only compared.
package struct MemberName: Sendable, CustomStringConvertible {
  /// What stands between the quotes.
  let inside: Bytes

  package var text: String { JSONText.unescape(inside) }
  package var description: String { text }

  /// To the byte: Swift holds some strings equal that are different names.
  package static func == (name: MemberName, known: StaticString) -> Bool {
    let known = unsafe UnsafeRawBufferPointer(start: known.utf8Start, count: known.utf8CodeUnitCount)
    guard !name.inside.isEmpty, let first = unsafe known.first else { return unsafe name.inside.isEmpty && known.isEmpty }
    // Nearly all end here.
    guard name.inside[0] == first || name.inside[0] == 0x5C else { return false }
    if unsafe name.inside.equals(known) { return true }
    // An escape is longer than what it stands for.
    guard name.inside.count > known.count, unsafe name.inside.withUnsafeBytes({ unsafe JSONText.hasEscape($0) }) else { return false }
    return unsafe name.text.utf8.elementsEqual(known)
  }

  package static func != (name: MemberName, known: StaticString) -> Bool { !(name == known) }

  /// For `switch`.
  package static func ~= (known: StaticString, name: MemberName) -> Bool { name == known }
}
