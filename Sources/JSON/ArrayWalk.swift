/// Reads nested arrays of a valid value in one pass: each value is looked at once, when it is taken, and an array can be entered instead.
package struct ArrayWalk {
  private let bytes: Bytes
  private var position = 1
  /// How many arrays have been entered and not left; behind the outermost one there is nothing.
  private var depth = 1

  /// Stands before the first element; nil for another kind.
  package init?(_ array: CarriedJSON) {
    guard array.kind == .array else { return nil }
    bytes = array.bytes
  }

  /// The same for the first member `name` of an object, whose name has no escapes; what stands behind that member is not looked at.
  package init?(_ object: CarriedJSON, member name: StaticString) {
    guard object.kind == .object else { return nil }
    bytes = object.bytes
    let start = scan { scanner throws(JSONError) -> Int? in
      while true {
        scanner.skipWhitespace()
        guard scanner.current == 0x22 else { return nil }
        var found = 0..<0
        try scanner.skipKeyAndColon(&found)
        let isIt = unsafe bytes[found].equals(UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
        if isIt { return scanner.current == 0x5B ? scanner.position + 1 : nil }
        try scanner.skipValue(depth: 0)
        skipComma(&scanner)
      }
    }
    guard let start else { return nil }
    position = start
  }

  /// The next element; nil at the end of the array, which is left then.
  package mutating func next() -> CarriedJSON? {
    if depth == 0 { return nil }
    let (range, after) = scan { scanner throws(JSONError) -> (Range<Int>?, Int) in
      scanner.skipWhitespace()
      let start = scanner.position
      let isEnd = scanner.current == 0x5D
      if isEnd { scanner.position += 1 } else { try scanner.skipValue(depth: 0) }
      let stop = scanner.position
      skipComma(&scanner)
      return (isEnd ? nil : start..<stop, scanner.position)
    }
    position = after
    if range == nil { depth -= 1 }
    return range.map { CarriedJSON(trusted: bytes[$0]) }
  }

  /// Whether the next element is an array, which is entered then: what follows are its elements.
  package mutating func enter() -> Bool {
    if depth == 0 { return false }
    let after = scan { scanner throws(JSONError) -> Int? in
      scanner.skipWhitespace()
      return scanner.current == 0x5B ? scanner.position + 1 : nil
    }
    guard let after else { return false }
    position = after
    depth += 1
    return true
  }

  private func skipComma(_ scanner: inout JSONScanner) {
    scanner.skipWhitespace()
    if scanner.current == 0x2C { scanner.position += 1 }
  }

  private func scan<R>(_ body: (inout JSONScanner) throws(JSONError) -> R) -> R {
    unsafe bytes.withUnsafeBytes { raw in
      var scanner = unsafe JSONScanner(raw, maxDepth: JSONLimits.deepest, position: position)
      do throws(JSONError) { return try body(&scanner) } catch { preconditionFailure("a carried value was not valid: \(error)") }
    }
  }
}
