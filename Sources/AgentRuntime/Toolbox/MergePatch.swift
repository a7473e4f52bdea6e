package import JSON

extension CarriedJSON {
  /// What `patch` makes of `target` by RFC 7396, https://www.rfc-editor.org/rfc/rfc7396; nil is a target that is not there.
  ///
  /// Members that the patch does not name keep their bytes and their places, new ones follow in the patch's order. Where a name is there twice
  /// its last value counts, as it does for most who read JSON.
  package static func merge(_ patch: CarriedJSON, into target: CarriedJSON?) -> CarriedJSON {
    guard patch.kind == .object else { return patch }
    var merged = ByteBuffer(capacity: patch.bytes.count + (target?.bytes.count ?? 0))
    merge(patch, into: target, &merged)
    return CarriedJSON(trusted: merged.finish())
  }

  private static func merge(_ patch: CarriedJSON, into target: CarriedJSON?, _ merged: inout ByteBuffer) {
    guard patch.kind == .object else { return merged.append(patch.bytes) }
    let changes = ObjectMembers(patch)
    let members = ObjectMembers(target, named: changes.last)
    var isFirst = true
    func put(_ member: ObjectMembers.Member) {
      merged.append(isFirst ? "{\"" : ",\"" as StaticString)
      merged.append(member.spelling)
      merged.append("\":" as StaticString)
      isFirst = false
    }
    var seen: Set<Bytes> = []
    for member in members.list {
      guard let name = member.name, let change = changes.last[name] else {
        put(member)
        merged.append(member.value.bytes)
        continue
      }
      guard seen.insert(name).inserted, !change.isNull else { continue }
      put(member)
      merge(change, into: members.last[name], &merged)
    }
    for member in changes.list {
      guard let name = member.name, seen.insert(name).inserted, let change = changes.last[name], !change.isNull else { continue }
      put(member)
      merge(change, into: nil, &merged)
    }
    if isFirst { merged.append(0x7B) }
    merged.append(0x7D)
  }
}

/// The members of one object, with their names as they are written; none of another kind.
private struct ObjectMembers {
  struct Member {
    /// As it stands in the text, without its quotes.
    let spelling: Bytes
    /// What that says, exactly; equal for two spellings of one name. Nil for a name that nobody asked for.
    let name: Bytes?
    let value: CarriedJSON
  }

  private(set) var list: [Member] = []
  /// The value that counts under each name that was asked for.
  private(set) var last: [Bytes: CarriedJSON] = [:]

  /// - Parameter wanted: The names asked for are the keys; nil asks for all.
  init(_ object: CarriedJSON?, named wanted: [Bytes: CarriedJSON]? = nil) {
    guard let object, object.kind == .object else { return }
    let bytes = object.bytes
    var walk = JSONWalk(bytes: bytes, position: 1)
    walk.skipWhitespace()
    while bytes[walk.position] != 0x7D {
      let spelling = walk.takeString()
      // The colon.
      walk.skipWhitespace()
      walk.position += 1
      walk.skipWhitespace()
      let value = CarriedJSON(trusted: walk.takeValue())
      walk.skipWhitespace()
      if bytes[walk.position] == 0x2C {
        walk.position += 1
        walk.skipWhitespace()
      }
      let name = ExactText.of(spelling)
      let isWanted = wanted.map { $0[name] != nil } ?? true
      if isWanted { last[name] = value }
      list.append(Member(spelling: spelling, name: isWanted ? name : nil, value: value))
    }
  }
}

/// Goes over a text that is valid JSON.
private struct JSONWalk {
  let bytes: Bytes
  var position: Int

  mutating func skipWhitespace() {
    while position < bytes.count, Self.isWhitespace(bytes[position]) { position += 1 }
  }

  private static func isWhitespace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 }

  /// The inside of the string that begins here.
  mutating func takeString() -> Bytes {
    let start = position + 1
    position = start
    while bytes[position] != 0x22 { position += bytes[position] == 0x5C ? 2 : 1 }
    position += 1
    return bytes[start..<position - 1]
  }

  mutating func takeValue() -> Bytes {
    let start = position
    var depth = 0
    repeat {
      switch bytes[position] {
      case 0x22: _ = takeString()
      case 0x7B, 0x5B:
        depth += 1
        position += 1
      case 0x7D, 0x5D:
        depth -= 1
        position += 1
      case 0x20, 0x0A, 0x0D, 0x09, 0x2C, 0x3A: position += 1
      default: skipWord()
      }
    } while depth > 0
    return bytes[start..<position]
  }

  /// A number, true, false or null.
  private mutating func skipWord() {
    while position < bytes.count {
      let byte = bytes[position]
      if byte == 0x2C || byte == 0x7D || byte == 0x5D || Self.isWhitespace(byte) { return }
      position += 1
    }
  }
}

/// What the inside of a string says, in UTF-8; a lone surrogate is in the three bytes that UTF-8 would have for it, so that it is equal to itself only.
private enum ExactText {
  static func of(_ inside: Bytes) -> Bytes {
    guard inside.contains("\\") else { return inside }
    var text: [UInt8] = []
    var at = 0
    while at < inside.count {
      guard inside[at] == 0x5C else {
        text.append(inside[at])
        at += 1
        continue
      }
      guard inside[at + 1] == 0x75 else {
        text.append(plain(inside[at + 1]))
        at += 2
        continue
      }
      var value = unit(inside, at + 2)
      at += 6
      if value & 0xFC00 == 0xD800, at + 5 < inside.count, inside[at] == 0x5C, inside[at + 1] == 0x75 {
        let low = unit(inside, at + 2)
        if low & 0xFC00 == 0xDC00 {
          value = 0x10000 + (value & 0x3FF) << 10 + (low & 0x3FF)
          at += 6
        }
      }
      append(value, to: &text)
    }
    return Bytes(text)
  }

  private static func plain(_ escape: UInt8) -> UInt8 {
    switch escape {
    case 0x62: 0x08
    case 0x66: 0x0C
    case 0x6E: 0x0A
    case 0x72: 0x0D
    case 0x74: 0x09
    default: escape
    }
  }

  /// The four hexadecimal digits at `at`.
  private static func unit(_ inside: Bytes, _ at: Int) -> UInt32 {
    var value: UInt32 = 0
    for place in at..<at + 4 {
      let digit = UInt32(inside[place])
      value = value << 4 + (digit <= 0x39 ? digit - 0x30 : (digit | 0x20) - 0x61 + 10)
    }
    return value
  }

  private static func append(_ value: UInt32, to text: inout [UInt8]) {
    func tail(_ shift: UInt32) -> UInt8 { UInt8(0x80 | value >> shift & 0x3F) }
    switch value {
    case ..<0x80: text.append(UInt8(value))
    case ..<0x800: text += [UInt8(0xC0 | value >> 6), tail(0)]
    case ..<0x10000: text += [UInt8(0xE0 | value >> 12), tail(6), tail(0)]
    default: text += [UInt8(0xF0 | value >> 18), tail(12), tail(6), tail(0)]
    }
  }
}
