#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

extension CarriedJSON {
  /// Whether both are the same JSON value.
  ///
  /// Strings count by their unescaped text (a lone surrogate is itself), numbers by their exact text; white space and the order of members do
  /// not count, but values under one repeated name must come in the same order.
  package func isEquivalent(to other: CarriedJSON) -> Bool {
    if bytes == other.bytes { return true }
    do throws(JSONError) {
      switch try Self.compareInStep(self, other) {
      case .equal: return true
      case .different: return false
      case .reordered: return try ValueTree(self).isEquivalent(to: ValueTree(other))
      }
    } catch { preconditionFailure("a carried value was not valid: \(error)") }
  }

  private enum InStep { case equal, different, reordered }

  /// Walks both at once, which needs no memory and decides all but values whose members come in different orders.
  private static func compareInStep(_ a: CarriedJSON, _ b: CarriedJSON) throws(JSONError) -> InStep {
    try unsafe a.bytes.withUnsafeBytes { (x) throws(JSONError) in
      try unsafe b.bytes.withUnsafeBytes { (y) throws(JSONError) in
        var a = unsafe JSONScanner(x, maxDepth: JSONLimits.deepest)
        var b = unsafe JSONScanner(y, maxDepth: JSONLimits.deepest)
        // The closing brackets of the open containers.
        var open: [UInt8] = []
        while true {
          switch try stepIntoValue(&a, &b) {
          case nil: return .different
          case .some(0): break
          case .some(let closing):
            open.append(closing)
            a.skipWhitespace()
            b.skipWhitespace()
            // Both are empty, or neither is.
            guard (a.current == closing) == (b.current == closing) else { return .different }
            if a.current != closing {
              if closing == 0x7D, try !namesMatch(&a, &b) { return .reordered }
              continue
            }
          }
          while let closing = open.last {
            a.skipWhitespace()
            b.skipWhitespace()
            guard a.current == b.current else { return .different }
            let byte = a.current
            a.position += 1
            b.position += 1
            if byte == closing {
              open.removeLast()
              continue
            }
            a.skipWhitespace()
            b.skipWhitespace()
            if closing == 0x7D, try !namesMatch(&a, &b) { return .reordered }
            break
          }
          if open.isEmpty { return .equal }
        }
      }
    }
  }

  /// Takes a scalar from each, or opens a container in each. Returns 0 or the container's closing bracket; nil when they differ.
  private static func stepIntoValue(_ a: inout JSONScanner, _ b: inout JSONScanner) throws(JSONError) -> UInt8? {
    switch a.current {
    case 0x7B, 0x5B:
      guard b.current == a.current else { return nil }
      let closing = a.current + 2
      a.position += 1
      b.position += 1
      return closing
    default:
      let x = try a.takeScalar()
      guard b.current != 0x7B, b.current != 0x5B else { return nil }
      return try a.hasSameScalar(x, as: b, b.takeScalar()) ? 0 : nil
    }
  }

  private static func namesMatch(_ a: inout JSONScanner, _ b: inout JSONScanner) throws(JSONError) -> Bool {
    var x = 0..<0
    var y = 0..<0
    try a.skipKeyAndColon(&x)
    try b.skipKeyAndColon(&y)
    return a.hasSameText(x, as: b, y)
  }
}

extension JSONScanner {
  fileprivate mutating func takeScalar() throws(JSONError) -> Range<Int> {
    let start = position
    try skipValue(depth: 0)
    return start..<position
  }

  /// Compares two scalars of valid texts, given with their quotes if they have some.
  fileprivate func hasSameScalar(_ mine: Range<Int>, as other: JSONScanner, _ theirs: Range<Int>) -> Bool {
    let isString = unsafe base[mine.lowerBound] == 0x22
    guard unsafe isString == (other.base[theirs.lowerBound] == 0x22) else { return false }
    guard isString else { return hasSameBytes(mine, as: other, theirs) }
    return hasSameText(mine.lowerBound + 1..<mine.upperBound - 1, as: other, theirs.lowerBound + 1..<theirs.upperBound - 1)
  }

  private func hasSameBytes(_ mine: Range<Int>, as other: JSONScanner, _ theirs: Range<Int>) -> Bool {
    guard mine.count == theirs.count else { return false }
    return unsafe memcmp(base + mine.lowerBound, other.base + theirs.lowerBound, mine.count) == 0
  }

  /// Compares the insides of two strings by what they say.
  fileprivate func hasSameText(_ mine: Range<Int>, as other: JSONScanner, _ theirs: Range<Int>) -> Bool {
    if hasSameBytes(mine, as: other, theirs) { return true }
    guard hasEscape(mine) || other.hasEscape(theirs) else { return false }
    return exactText(mine) == other.exactText(theirs)
  }

  private func hasEscape(_ inside: Range<Int>) -> Bool {
    unsafe JSONText.hasEscape(UnsafeRawBufferPointer(start: base + inside.lowerBound, count: inside.count))
  }

  private func exactText(_ inside: Range<Int>) -> Bytes {
    var buffer = ByteBuffer(capacity: inside.count)
    unsafe JSONText.unescapeExactly(UnsafeRawBufferPointer(start: base + inside.lowerBound, count: inside.count), into: &buffer)
    return buffer.finish()
  }
}
