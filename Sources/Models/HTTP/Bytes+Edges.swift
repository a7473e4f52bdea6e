import JSON

/// What may stand around a text and is no part of it.
extension Bytes {
  private static let byteOrderMark = Bytes([0xEF, 0xBB, 0xBF])

  /// What follows a byte order mark, which is no part of a text in UTF-8 that it stands before.
  var withoutByteOrderMark: Bytes {
    count >= 3 && self[0] == 0xEF && self[0..<3] == Self.byteOrderMark ? self[3..<count] : self
  }

  /// Whether more bytes may make it a byte order mark.
  var isPartOfByteOrderMark: Bool { !isEmpty && count < 3 && self == Self.byteOrderMark[0..<count] }

  /// What follows the white space at its beginning.
  var withoutLeadingBlanks: Bytes {
    var first = 0
    while first < count, Self.isBlank(self[first]) { first += 1 }
    return first == 0 ? self : self[first..<count]
  }

  /// What stands between the white space at both ends.
  var withoutBlanks: Bytes {
    var end = count
    while end > 0, Self.isBlank(self[end - 1]) { end -= 1 }
    return (end == count ? self : self[0..<end]).withoutLeadingBlanks
  }

  private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }
}
