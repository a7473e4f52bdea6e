/// What a text is at its top level, with the parts as they are written.
package enum TopLevel: Sendable {
  case object([(name: String, value: CarriedJSON)])
  case array([CarriedJSON])
  case scalar(CarriedJSON)
}

extension CarriedJSON {
  /// Validates `text` and takes it apart in one pass, to learn from the members around a payload what the payload is.
  ///
  /// The parts are not checked for repeated names, the top level is. `maxNodes` limits the number of parts.
  /// - Throws: `JSONError` with the offset, `duplicateKey` with the pointer.
  package static func split(_ text: Bytes, limits: JSONLimits = JSONLimits()) throws(JSONError) -> TopLevel {
    var parts = TopLevelParts(maxNodes: limits.maxNodes)
    try unsafe text.withUnsafeBytes { (raw) throws(JSONError) in
      var scanner = unsafe JSONScanner(raw, maxDepth: limits.maxDepth)
      try parts.read(&scanner)
    }
    text.remember(values: parts.largeValues)
    switch parts.kind {
    case .object:
      let names = try parts.uniqueNames(of: text)
      return .object(zip(names, parts.values).map { ($0, CarriedJSON(trusted: text[$1])) })
    case .array: return .array(parts.values.map { CarriedJSON(trusted: text[$0]) })
    case .scalar: return .scalar(CarriedJSON(trusted: text[parts.values[0]]))
    }
  }
}

/// Where the parts of a top-level value are.
private struct TopLevelParts {
  enum Kind { case object, array, scalar }

  var kind = Kind.scalar
  /// Without their quotes; as many as `values` in an object, else none.
  var names: [Range<Int>] = []
  var values: [Range<Int>] = []
  /// Among the members of those: a result's content.
  var largeValues: [Range<Int>] = []
  let maxNodes: Int

  init(maxNodes: Int) {
    self.maxNodes = maxNodes
    // An envelope has four parts or so.
    names.reserveCapacity(8)
    values.reserveCapacity(8)
  }

  mutating func read(_ scanner: inout JSONScanner) throws(JSONError) {
    scanner.skipWhitespace()
    switch scanner.current {
    case 0x7B: try readContainer(.object, closing: 0x7D, &scanner)
    case 0x5B: try readContainer(.array, closing: 0x5D, &scanner)
    default: try readValue(depth: 0, &scanner)
    }
    scanner.skipWhitespace()
    guard scanner.position == scanner.end else { throw scanner.error(.trailingData, "something follows the value") }
  }

  private mutating func readContainer(_ kind: Kind, closing: UInt8, _ scanner: inout JSONScanner) throws(JSONError) {
    self.kind = kind
    guard scanner.maxDepth > 0 else { throw scanner.error(.tooDeep, "nested deeper than 0") }
    scanner.position += 1
    scanner.skipWhitespace()
    if scanner.current == closing {
      scanner.position += 1
      return
    }
    while true {
      if kind == .object {
        var name = 0..<0
        try scanner.skipKeyAndColon(&name)
        names.append(name)
      }
      try readValue(depth: 1, &scanner)
      scanner.skipWhitespace()
      if scanner.current == closing {
        scanner.position += 1
        return
      }
      guard scanner.current == 0x2C else { throw scanner.unexpected(kind == .object ? "',' or '}'" : "',' or ']'") }
      scanner.position += 1
      scanner.skipWhitespace()
    }
  }

  private mutating func readValue(depth: Int, _ scanner: inout JSONScanner) throws(JSONError) {
    // The container itself is a node too.
    guard values.count + depth < maxNodes else { throw scanner.error(.tooManyNodes, "more than \(maxNodes) values") }
    let start = scanner.position
    if depth == 1, scanner.current == 0x7B, scanner.end - start >= LargeValues.least {
      try readMembers(depth: depth, &scanner)
    } else {
      try scanner.skipValue(depth: depth)
    }
    values.append(start..<scanner.position)
  }

  /// Skips an object, and notes which of its members are large.
  private mutating func readMembers(depth: Int, _ scanner: inout JSONScanner) throws(JSONError) {
    guard depth < scanner.maxDepth else { throw scanner.error(.tooDeep, "nested deeper than \(scanner.maxDepth)") }
    scanner.position += 1
    scanner.skipWhitespace()
    if scanner.current == 0x7D {
      scanner.position += 1
      return
    }
    while true {
      try scanner.skipKeyAndColon()
      let start = scanner.position
      try scanner.skipValue(depth: depth + 1)
      if scanner.position - start >= LargeValues.least { largeValues.append(start..<scanner.position) }
      scanner.skipWhitespace()
      if scanner.current == 0x7D {
        scanner.position += 1
        return
      }
      guard scanner.current == 0x2C else { throw scanner.unexpected("',' or '}'") }
      scanner.position += 1
      scanner.skipWhitespace()
    }
  }

  func uniqueNames(of text: Bytes) throws(JSONError) -> [String] {
    let unescaped = names.map { JSONText.unescape(text[$0]) }
    if let index = Self.firstRepeated(unescaped) {
      throw JSONError(
        .duplicateKey, "a member name is there twice", offset: names[index].lowerBound - 1,
        pointer: "/" + JSONPointer.escape(unescaped[index]))
    }
    return unescaped
  }

  /// By their bytes: two strings that Swift holds equal may be different names.
  private static func firstRepeated(_ names: [String]) -> Int? {
    if names.count <= 8 {
      // An envelope: comparing each with each is faster than hashing, and allocates nothing.
      return names.indices.first { index in names[..<index].contains { $0.utf8.elementsEqual(names[index].utf8) } }
    }
    var seen: Set<Bytes> = []
    return names.indices.first { !seen.insert(Bytes(names[$0])).inserted }
  }
}
