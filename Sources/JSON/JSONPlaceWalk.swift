/// What a walk over the places of a document meets.
protocol JSONPlaceVisitor {
  /// A value that is only carried.
  mutating func carried(_ range: Range<Int>)
  /// A string value, with its quotes.
  mutating func string(_ range: Range<Int>)
  mutating func number(_ range: Range<Int>)
  /// A member name, with its quotes.
  mutating func name(_ range: Range<Int>)
}

/// Visits the places of a valid text that are not carried, counts them, and refuses a name that an object has twice.
///
/// Iterative, and stops at the first fault, so that a bomb costs no more than what the limits allow.
@safe struct JSONPlaceWalk: ~Copyable {
  private struct Frame {
    let paths: CarriedPathNode?
    let isObject: Bool
    /// Which element of an array the present one is.
    var index = 0
    /// The present member's name, without quotes.
    var name = 0..<0
  }

  private let source: Bytes
  private var scanner: JSONScanner
  private var frames: [Frame] = []
  private var names: OpenNames
  private var nodes = 0
  private let maxNodes: Int
  private let prefix: String

  /// - Parameter text: the bytes of `source`.
  init(_ text: UnsafeRawBufferPointer, of source: Bytes, maxNodes: Int, at pointer: String) {
    self.source = source
    unsafe scanner = JSONScanner(text, maxDepth: JSONLimits.deepest)
    unsafe names = OpenNames(in: scanner.base)
    self.maxNodes = maxNodes
    prefix = pointer
    frames.reserveCapacity(8)
  }

  mutating func run(_ paths: CarriedPathNode?, _ visitor: inout some JSONPlaceVisitor) throws(JSONError) {
    var paths = paths
    // One turn a value.
    while true {
      if try enter(paths, &visitor) {
        paths = try beginChild(&visitor)
        continue
      }
      scanner.skipWhitespace()
      while !frames.isEmpty, scanner.current != 0x2C {
        leave()
        scanner.skipWhitespace()
      }
      if frames.isEmpty { return }
      scanner.position += 1
      frames[frames.count - 1].index += 1
      paths = try beginChild(&visitor)
    }
  }

  /// Takes one value, or, when it is a container with something in it, opens that and answers true.
  private mutating func enter(_ paths: CarriedPathNode?, _ visitor: inout some JSONPlaceVisitor) throws(JSONError) -> Bool {
    let start = scanner.position
    if let paths, paths.isCarried {
      if let stop = source.rememberedEnd(ofValueAt: start) { scanner.position = stop } else { try scanner.skipValue(depth: 0) }
      visitor.carried(start..<scanner.position)
      return false
    }
    nodes += 1
    guard nodes <= maxNodes else { throw JSONError(.tooManyNodes, "more than \(maxNodes) values", offset: start, pointer: pointer) }
    switch scanner.current {
    case 0x22:
      if let stop = source.rememberedEnd(ofValueAt: start) { scanner.position = stop } else { try scanner.skipString() }
      visitor.string(start..<scanner.position)
    case 0x7B, 0x5B:
      let isObject = scanner.current == 0x7B
      scanner.position += 1
      scanner.skipWhitespace()
      guard scanner.current != (isObject ? 0x7D : 0x5D) else {
        scanner.position += 1
        return false
      }
      frames.append(Frame(paths: paths, isObject: isObject))
      if isObject { names.beginObject() }
      return true
    case 0x74, 0x66, 0x6E: try scanner.skipValue(depth: 0)
    default:
      try scanner.skipNumber()
      visitor.number(start..<scanner.position)
    }
    return false
  }

  /// Steps to the value of the next child of the innermost container and returns what is carried there.
  private mutating func beginChild(_ visitor: inout some JSONPlaceVisitor) throws(JSONError) -> CarriedPathNode? {
    scanner.skipWhitespace()
    let top = frames.count - 1
    guard frames[top].isObject else { return frames[top].paths?.child(at: frames[top].index) }
    let start = scanner.position
    try scanner.skipKeyAndColon(&frames[top].name)
    let name = frames[top].name
    guard names.insert(name) else {
      throw JSONError(.duplicateKey, "a member name is there twice", offset: start, pointer: pointer)
    }
    visitor.name(start..<name.upperBound + 1)
    guard let paths = frames[top].paths else { return nil }
    return unsafe names.withLast { name in unsafe paths.child(named: name) }
  }

  private mutating func leave() {
    scanner.position += 1
    if frames.removeLast().isObject { names.endObject() }
  }

  /// Of the present value.
  private var pointer: String {
    frames.reduce(prefix) { pointer, frame in
      pointer + "/" + (frame.isObject ? JSONPointer.escape(scanner.unescape(frame.name)) : String(frame.index))
    }
  }
}
