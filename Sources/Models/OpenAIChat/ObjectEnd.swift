/// Watches a text that comes in pieces for the end of the JSON object that it begins with, looking at each byte once.
///
/// It knows brackets and strings and nothing else: whether what has ended is JSON is for a validator to say, and need be asked only once.
struct ObjectEnd: Sendable {
  private enum Place { case before, inside, after, none }

  private var place = Place.before
  private var depth = 0
  private var isInString = false
  private var isEscaped = false

  /// The object has ended, and nothing but white space has come since.
  var isReached: Bool { place == .after }

  mutating func take(_ piece: String) {
    for byte in piece.utf8 { take(byte) }
  }

  private mutating func take(_ byte: UInt8) {
    switch place {
    case .none: return
    case .inside: takeInside(byte)
    case .before, .after:
      if [0x20, 0x09, 0x0A, 0x0D].contains(byte) { return }
      // A second one after the first is no JSON, whatever follows.
      let begins = place == .before && byte == 0x7B
      place = begins ? .inside : .none
      depth = 1
    }
  }

  private mutating func takeInside(_ byte: UInt8) {
    if isEscaped {
      isEscaped = false
    } else if isInString {
      if byte == 0x5C { isEscaped = true } else if byte == 0x22 { isInString = false }
    } else {
      switch byte {
      case 0x22: isInString = true
      case 0x7B, 0x5B: depth += 1
      case 0x7D, 0x5D:
        depth -= 1
        if depth == 0 { place = .after }
      default: break
      }
    }
  }
}
