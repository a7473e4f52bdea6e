/// Finds and validates JSON values in a text, exactly as RFC 8259 and RFC 3629 have it, without building anything.
///
/// Works on padded memory (`ByteStorage.padding`), so it may look past the end; what it finds there is zero or foreign and never accepted.
@safe struct JSONScanner {
  let base: UnsafePointer<UInt8>
  let end: Int
  var position: Int
  let maxDepth: Int
  /// Judges byte by byte only. The other path accepts the same texts (the tests compare the two) and leaves it to this one to name an error.
  let isBytewise: Bool

  init(_ bytes: UnsafeRawBufferPointer, maxDepth: Int, position: Int = 0, isBytewise: Bool = false) {
    self.isBytewise = isBytewise
    unsafe base = bytes.baseAddress!.assumingMemoryBound(to: UInt8.self)
    end = bytes.count
    self.position = position
    self.maxDepth = min(maxDepth, JSONLimits.deepest)
  }

  /// The byte at the position, or 0 at the end (no JSON token begins with NUL).
  var current: UInt8 { position < end ? unsafe base[position] : 0 }

  mutating func skipWhitespace() {
    if !isBytewise, position < end {
      position = unsafe FastScan.afterWhitespace(base, position, end)
      return
    }
    while position < end {
      switch unsafe base[position] {
      case 0x20, 0x09, 0x0A, 0x0D: position += 1
      default: return
      }
    }
  }

  /// The text of a string's inside.
  func unescape(_ inside: Range<Int>) -> String {
    JSONText.unescape(unsafe Bytes(copying: UnsafeRawBufferPointer(start: base + inside.lowerBound, count: inside.count)))
  }

  func error(_ code: JSONError.Code, _ message: String) -> JSONError {
    JSONError(code, message, offset: position)
  }

  func unexpected(_ wanted: String) -> JSONError {
    position >= end ? error(.syntax, "the text ends where \(wanted) should be") : error(.syntax, "expected \(wanted)")
  }

  /// Skips one value that begins at the position, validating it. `depth` containers are open around it.
  mutating func skipValue(depth outer: Int) throws(JSONError) {
    if !isBytewise {
      let stop = unsafe FastScan.value(base, position, end, maxDepth: maxDepth - outer)
      if stop >= 0 {
        position = stop
        return
      }
    }
    var open = DepthStack()
    // One turn a value; `continue values` goes on with the next one.
    values: while true {
      switch current {
      case 0x22: try skipString()
      case 0x7B:
        guard outer + open.depth < maxDepth else { throw error(.tooDeep, "nested deeper than \(maxDepth)") }
        position += 1
        skipWhitespace()
        if current == 0x7D {
          position += 1
        } else {
          open.push(isObject: true)
          try skipKeyAndColon()
          continue values
        }
      case 0x5B:
        guard outer + open.depth < maxDepth else { throw error(.tooDeep, "nested deeper than \(maxDepth)") }
        position += 1
        skipWhitespace()
        if current == 0x5D {
          position += 1
        } else {
          open.push(isObject: false)
          continue values
        }
      case 0x2D, 0x30...0x39: try skipNumber()
      case 0x74: try skipLiteral("true")
      case 0x66: try skipLiteral("false")
      case 0x6E: try skipLiteral("null")
      default: throw unexpected("a value")
      }
      // After a value: close what ends here, or step to the next value of the innermost container.
      while open.depth > 0 {
        skipWhitespace()
        switch current {
        case 0x2C:
          position += 1
          skipWhitespace()
          if open.innermostIsObject { try skipKeyAndColon() }
          continue values
        case 0x7D where open.innermostIsObject, 0x5D where !open.innermostIsObject:
          position += 1
          open.pop()
        default: throw unexpected(open.innermostIsObject ? "',' or '}'" : "',' or ']'")
        }
      }
      return
    }
  }

  mutating func skipKeyAndColon() throws(JSONError) {
    var name = 0..<0
    try skipKeyAndColon(&name)
  }

  /// Tells where the name stands, without its quotes.
  mutating func skipKeyAndColon(_ name: inout Range<Int>) throws(JSONError) {
    guard current == 0x22 else { throw unexpected("a member name in quotes") }
    let start = position + 1
    try skipString()
    name = start..<position - 1
    skipWhitespace()
    guard current == 0x3A else { throw unexpected("':'") }
    position += 1
    skipWhitespace()
  }

  private mutating func skipLiteral(_ text: StaticString) throws(JSONError) {
    let count = text.utf8CodeUnitCount
    guard position + count <= end else { throw unexpected("a value") }
    for i in 0..<count where unsafe base[position + i] != text.utf8Start[i] { throw unexpected("a value") }
    position += count
  }

  mutating func skipNumber() throws(JSONError) {
    if !isBytewise {
      let stop = unsafe FastScan.number(base, position)
      if stop >= 0, stop <= end {
        position = stop
        return
      }
    }
    if current == 0x2D { position += 1 }
    switch current {
    case 0x30: position += 1
    case 0x31...0x39: skipDigits()
    default: throw unexpected("a digit")
    }
    if current == 0x2E {
      position += 1
      guard isDigit(current) else { throw unexpected("a digit after the decimal point") }
      skipDigits()
    }
    if current == 0x65 || current == 0x45 {
      position += 1
      if current == 0x2B || current == 0x2D { position += 1 }
      guard isDigit(current) else { throw unexpected("a digit of the exponent") }
      skipDigits()
    }
  }

  private func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

  private mutating func skipDigits() {
    while position < end, unsafe isDigit(base[position]) { position += 1 }
  }

  /// Skips a string from its opening quote to after its closing one.
  mutating func skipString() throws(JSONError) {
    if !isBytewise {
      let stop = unsafe FastScan.string(base, position, end)
      if stop >= 0 {
        position = stop
        return
      }
    }
    position += 1
    while true {
      skipPlainASCII()
      guard position < end else { throw error(.syntax, "the text ends inside a string") }
      let byte = unsafe base[position]
      if byte == 0x22 {
        position += 1
        return
      }
      if byte == 0x5C {
        try skipEscape()
      } else if byte < 0x20 {
        throw error(.syntax, "a control character inside a string")
      } else {
        try skipUTF8()
      }
    }
  }

  /// Steps over bytes that are neither quote, backslash, control character nor part of a multibyte character.
  private mutating func skipPlainASCII() {
    while position < end {
      let byte = unsafe base[position]
      if byte < 0x20 || byte >= 0x80 || byte == 0x22 || byte == 0x5C { return }
      position += 1
    }
  }

  private mutating func skipEscape() throws(JSONError) {
    guard position + 1 < end else {
      position = end
      throw error(.syntax, "the text ends inside a string")
    }
    switch unsafe base[position + 1] {
    case 0x22, 0x5C, 0x2F, 0x62, 0x66, 0x6E, 0x72, 0x74: position += 2
    case 0x75:
      for i in 2..<6 {
        guard position + i < end, unsafe isHexDigit(base[position + i]) else { throw error(.syntax, "\\u needs four hexadecimal digits") }
      }
      position += 6
    default: throw error(.syntax, "an unknown escape in a string")
    }
  }

  private func isHexDigit(_ byte: UInt8) -> Bool { isDigit(byte) || (byte | 0x20) &- 0x61 < 6 }

  /// One multibyte character, RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF.
  private mutating func skipUTF8() throws(JSONError) {
    let lead = unsafe base[position]
    var low: UInt8 = 0x80
    var high: UInt8 = 0xBF
    let length: Int
    switch lead {
    case 0xC2...0xDF: length = 2
    case 0xE0...0xEF:
      length = 3
      if lead == 0xE0 { low = 0xA0 }
      if lead == 0xED { high = 0x9F }
    case 0xF0...0xF4:
      length = 4
      if lead == 0xF0 { low = 0x90 }
      if lead == 0xF4 { high = 0x8F }
    default: throw error(.invalidUTF8, "a byte that is not UTF-8")
    }
    guard position + length <= end else { throw error(.invalidUTF8, "a character that is cut off") }
    let second = unsafe base[position + 1]
    guard second >= low, second <= high else { throw error(.invalidUTF8, "a byte that is not UTF-8") }
    for i in 2..<max(2, length) where unsafe base[position + i] & 0xC0 != 0x80 {
      throw error(.invalidUTF8, "a byte that is not UTF-8")
    }
    position += length
  }
}

/// How much structure a text may have.
package struct JSONLimits: Sendable, Equatable {
  /// The most that `maxDepth` can be: the size of the scanner's stack.
  static let deepest = 1024
  /// 2^53 - 1: https://www.rfc-editor.org/rfc/rfc7493#section-2.2
  package static let largestInteger = 9_007_199_254_740_991

  /// Containers around a value.
  package var maxDepth: Int
  /// Values outside what is only carried.
  package var maxNodes: Int

  package init(maxDepth: Int = 512, maxNodes: Int = 1_000_000) {
    self.maxDepth = min(maxDepth, Self.deepest)
    self.maxNodes = maxNodes
  }
}

/// Which kind each open container is: one bit a level, in fixed memory.
private struct DepthStack {
  private(set) var depth = 0
  private var bits = [16 of UInt64](repeating: 0)

  var innermostIsObject: Bool { bits[(depth - 1) >> 6] >> UInt64((depth - 1) & 63) & 1 == 1 }

  mutating func push(isObject: Bool) {
    let bit = UInt64(1) << UInt64(depth & 63)
    if isObject { bits[depth >> 6] |= bit } else { bits[depth >> 6] &= ~bit }
    depth += 1
  }

  mutating func pop() { depth -= 1 }
}
