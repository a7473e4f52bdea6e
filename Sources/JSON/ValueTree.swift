#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Where each value of a document stands, in one flat list made by one scan, so that no part is scanned again for each level around it.
struct ValueTree {
  private struct Value {
    /// The inside of the member's name; empty for an element.
    let name: Range<Int>
    let range: Range<Int>
    /// The place in the list after this value and all within it.
    var next: Int
  }

  private let bytes: Bytes
  private var values: [Value] = []

  init(_ json: CarriedJSON) throws(JSONError) {
    bytes = json.bytes
    var values: [Value] = []
    try unsafe json.bytes.withUnsafeBytes { (raw) throws(JSONError) in
      var scanner = unsafe JSONScanner(raw, maxDepth: JSONLimits.deepest)
      // The open containers, by their place in the list.
      var open: [Int] = []
      var name = 0..<0
      while true {
        let start = scanner.position
        let place = values.count
        let isContainer = scanner.current == 0x7B || scanner.current == 0x5B
        if isContainer { scanner.position += 1 } else { try scanner.skipValue(depth: 0) }
        values.append(Value(name: name, range: start..<scanner.position, next: place + 1))
        if isContainer { open.append(place) }
        scanner.skipWhitespace()
        while let top = open.last, scanner.current == 0x7D || scanner.current == 0x5D {
          scanner.position += 1
          values[top].next = values.count
          open.removeLast()
          scanner.skipWhitespace()
        }
        guard let top = open.last else { break }
        if scanner.current == 0x2C {
          scanner.position += 1
          scanner.skipWhitespace()
        }
        name = 0..<0
        if unsafe scanner.base[values[top].range.lowerBound] == 0x7B { try scanner.skipKeyAndColon(&name) }
      }
    }
    self.values = values
  }

  func isEquivalent(to other: ValueTree) -> Bool {
    var pairs = [(0, 0)]
    while let (mine, theirs) = pairs.popLast() {
      let a = values[mine]
      let b = other.values[theirs]
      let kind = bytes[a.range.lowerBound]
      switch kind {
      case 0x7B, 0x5B:
        guard other.bytes[b.range.lowerBound] == kind else { return false }
        let (x, y) = kind == 0x7B ? (members(of: mine), other.members(of: theirs)) : (elements(of: mine), other.elements(of: theirs))
        guard x.count == y.count else { return false }
        for (first, second) in zip(x, y) {
          guard first.name == second.name else { return false }
          pairs.append((first.place, second.place))
        }
      case 0x22:
        guard other.bytes[b.range.lowerBound] == kind else { return false }
        guard text(a.range.lowerBound + 1..<a.range.upperBound - 1) == other.text(b.range.lowerBound + 1..<b.range.upperBound - 1)
        else { return false }
      default: guard bytes[a.range] == other.bytes[b.range] else { return false }
      }
    }
    return true
  }

  /// The exact unescaped text of a string's inside.
  private func text(_ inside: Range<Int>) -> Bytes {
    let raw = bytes[inside]
    return unsafe raw.withUnsafeBytes { text in
      guard unsafe JSONText.hasEscape(text) else { return raw }
      var buffer = ByteBuffer(capacity: text.count)
      unsafe JSONText.unescapeExactly(text, into: &buffer)
      return buffer.finish()
    }
  }

  private func elements(of container: Int) -> [(name: Bytes, place: Int)] {
    var children: [(Bytes, Int)] = []
    var place = container + 1
    while place < values[container].next {
      children.append((text(values[place].name), place))
      place = values[place].next
    }
    return children
  }

  /// By name; those of one name in the order they have.
  private func members(of container: Int) -> [(name: Bytes, place: Int)] {
    elements(of: container).sorted { a, b in
      let order = a.name.order(b.name)
      return order == 0 ? a.place < b.place : order < 0
    }
  }
}

extension Bytes {
  /// Negative, 0 or positive, as this comes before, is, or comes after `other` in the order of unsigned bytes.
  fileprivate func order(_ other: Bytes) -> Int {
    unsafe withUnsafeBytes { a in
      unsafe other.withUnsafeBytes { b in
        let order = unsafe memcmp(a.baseAddress!, b.baseAddress!, min(a.count, b.count))
        return order == 0 ? a.count - b.count : Int(order)
      }
    }
  }
}
