/// The name of a member as it stands in its object; decoded only when its text is asked for, as most are only compared.
package struct MemberName: Sendable, CustomStringConvertible {
  /// What stands between the quotes.
  let inside: Bytes

  package var text: String { JSONText.unescape(inside) }
  package var description: String { text }

  /// To the byte: Swift holds some strings equal that are different names.
  package static func == (name: MemberName, known: StaticString) -> Bool {
    let isSame = unsafe name.inside.equals(UnsafeRawBufferPointer(start: known.utf8Start, count: known.utf8CodeUnitCount))
    if isSame { return true }
    // An escape is longer than what it stands for.
    guard name.inside.count > known.utf8CodeUnitCount, unsafe name.inside.withUnsafeBytes({ unsafe JSONText.hasEscape($0) }) else {
      return false
    }
    return name.text.utf8.elementsEqual(known.description.utf8)
  }

  package static func != (name: MemberName, known: StaticString) -> Bool { !(name == known) }

  /// For `switch`.
  package static func ~= (known: StaticString, name: MemberName) -> Bool { name == known }
}
