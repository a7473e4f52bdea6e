import JSON

/// What can still be told about a message that is no valid JSON or too long to be held: whom it concerns.
///
/// Looks only at the top level of one object, and trusts nothing else: names may repeat, strings need not be UTF-8, brackets need not match.
struct SalvagedEnvelope: Equatable {
  private(set) var hasMethod = false
  private(set) var hasOutcome = false
  /// The first id that was found.
  private var first: RequestID?
  private var isAmbiguous = false

  /// The id, when there is one that is valid, and only one.
  var id: RequestID? { isAmbiguous ? nil : first }

  /// Whether this looks like the answer to a request and not like a request.
  var isAnswer: Bool { hasOutcome && !hasMethod }

  /// Of a whole text.
  init(_ text: Bytes) {
    readForward(text)
  }

  /// Of the two ends of a text; the last one only when it is where the text ends.
  init(head: Bytes, tail: Bytes?) {
    guard readForward(head) else { return }
    if let tail { readBackward(tail) }
  }

  /// Reads members from the start until the object or the text ends. False when nothing that follows may be of the same object.
  @discardableResult
  private mutating func readForward(_ text: Bytes) -> Bool {
    var reader = LenientReader(text: text)
    reader.skipBlanks()
    guard reader.current == 0x7B else {
      isAmbiguous = true
      return false
    }
    reader.position += 1
    while true {
      reader.skipBlanks()
      switch reader.current {
      case nil: return true
      case 0x7D:
        reader.position += 1
        reader.skipBlanks()
        // Something follows: if that is another message with an id, there is no telling which of two is meant.
        if reader.current == 0x5B { isAmbiguous = true }
        guard reader.current == 0x7B else { return false }
        reader.position += 1
      case 0x22:
        guard let name = reader.takeString() else { return true }
        reader.skipBlanks()
        guard reader.current == 0x3A else { continue }
        reader.position += 1
        reader.skipBlanks()
        let start = reader.position
        guard reader.skipValue() else {
          // Cut off within the value: the member is there all the same, an id is not whole.
          note(name: text[name], value: nil)
          return true
        }
        note(name: text[name], value: text[start..<reader.position])
      case 0x7B, 0x5B:
        guard reader.skipValue() else { return true }
      default: reader.skipStray()
      }
    }
  }

  /// Reads members from the closing brace at the end towards the start, as far as they are whole.
  private mutating func readBackward(_ text: Bytes) {
    var reader = LenientReader(text: text)
    reader.position = text.count
    reader.skipBlanksBackward()
    guard reader.previous == 0x7D else { return }
    reader.position -= 1
    while true {
      reader.skipBlanksBackward()
      let valueEnd = reader.position
      guard reader.skipValueBackward() else { return }
      let value = reader.position..<valueEnd
      reader.skipBlanksBackward()
      guard reader.previous == 0x3A else { return }
      reader.position -= 1
      reader.skipBlanksBackward()
      let nameEnd = reader.position
      guard reader.previous == 0x22, reader.skipValueBackward(), nameEnd - reader.position >= 2 else { return }
      let name = reader.position + 1..<nameEnd - 1
      reader.skipBlanksBackward()
      // The text before may be cut anywhere, so a member counts only with what precedes it.
      guard reader.previous == 0x2C || reader.previous == 0x7B else { return }
      note(name: text[name], value: text[value])
      guard reader.previous == 0x2C else { return }
      reader.position -= 1
    }
  }

  private mutating func note(name: Bytes, value: Bytes?) {
    switch name.string {
    case "method": hasMethod = true
    case "result", "error": hasOutcome = true
    case "id":
      guard let value, let json = try? CarriedJSON(validating: value), let id = RequestID(json) else {
        isAmbiguous = true
        return
      }
      if let first, first != id { isAmbiguous = true }
      first = first ?? id
    default: return
    }
  }
}

/// Steps over the tokens of something that resembles JSON, in both directions.
private struct LenientReader {
  let text: Bytes
  var position = 0

  var current: UInt8? { position < text.count ? text[position] : nil }
  var previous: UInt8? { position > 0 ? text[position - 1] : nil }

  private static func isBlank(_ byte: UInt8?) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }

  mutating func skipBlanks() { while Self.isBlank(current) { position += 1 } }
  mutating func skipBlanksBackward() { while Self.isBlank(previous) { position -= 1 } }

  /// The inside of the string that begins here; nil when it does not end.
  mutating func takeString() -> Range<Int>? {
    let start = position + 1
    position = start
    while let quote = text.firstIndex(of: 0x22, from: position) {
      position = quote + 1
      if !isEscaped(quote, after: start) { return start..<quote }
    }
    position = text.count
    return nil
  }

  /// Whether an odd number of backslashes stands before `index`.
  private func isEscaped(_ index: Int, after start: Int) -> Bool {
    var i = index
    while i > start, text[i - 1] == 0x5C { i -= 1 }
    return (index - i) % 2 == 1
  }

  /// False when the text ends first. Whatever is no string and no container ends before the next mark of punctuation.
  mutating func skipValue() -> Bool {
    var depth = 0
    while let byte = current {
      switch byte {
      case 0x22:
        guard takeString() != nil else { return false }
        if depth == 0 { return true }
      case 0x7B, 0x5B:
        depth += 1
        position += 1
      case 0x7D, 0x5D:
        // One that closes what was not opened here belongs to what is around.
        if depth == 0 { return true }
        depth -= 1
        position += 1
        if depth == 0 { return true }
      default:
        if depth > 0 {
          position += 1
        } else {
          let start = position
          skipStray()
          return position > start && current != nil
        }
      }
    }
    return false
  }

  /// Goes on to the next comma, bracket, quote or blank, and over it when it is a comma, a colon or a stray bracket.
  mutating func skipStray() {
    let start = position
    while let byte = current, !Self.isBlank(byte) {
      switch byte {
      case 0x2C, 0x3A, 0x5D, 0x7B, 0x5B, 0x7D, 0x22:
        if position == start, byte != 0x7D, byte != 0x22 { position += 1 }
        return
      default: position += 1
      }
    }
  }

  /// False when the text begins first.
  mutating func skipValueBackward() -> Bool {
    var depth = 0
    while let byte = previous {
      switch byte {
      case 0x22:
        guard skipStringBackward() else { return false }
      case 0x7D, 0x5D:
        depth += 1
        position -= 1
        continue
      case 0x7B, 0x5B:
        guard depth > 0 else { return false }
        depth -= 1
        position -= 1
      default:
        if depth > 0 {
          position -= 1
          continue
        }
        let end = position
        while let byte = previous, Self.isScalarCharacter(byte) { position -= 1 }
        return position < end && position > 0
      }
      if depth == 0 { return true }
    }
    return false
  }

  private static func isScalarCharacter(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2B, 0x2D, 0x2E: true
    default: false
    }
  }

  /// From behind a closing quote to the opening one: the nearest that is not escaped, for within a string every quote is.
  private mutating func skipStringBackward() -> Bool {
    var i = position - 2
    while i >= 0 {
      if text[i] == 0x22, !isEscaped(i, after: 0) {
        position = i
        return true
      }
      i -= 1
    }
    return false
  }
}
