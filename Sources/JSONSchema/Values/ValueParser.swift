import JSON

/// Why a carried value cannot be looked at.
struct ValueError: Error {
  enum Reason {
    case tooDeep, tooMany
    case duplicate(ExactString)
  }

  var reason: Reason
  /// RFC 6901.
  var pointer = ""

  func inside(_ token: String) -> ValueError {
    ValueError(reason: reason, pointer: "/" + JSONPointer.escape(token) + pointer)
  }
}

/// Turns the bytes of a carried value into a `Value` in one pass.
///
/// The text has been validated before; whatever it holds, nothing outside it is read.
struct ValueParser {
  static let deepest = 512

  private let source: Bytes
  private let mostValues: Int
  private var position = 0
  private var count = 0

  private init(source: Bytes, mostValues: Int) {
    self.source = source
    self.mostValues = mostValues
  }

  static func parse(_ json: CarriedJSON, mostValues: Int = .max) throws(ValueError) -> Value {
    var parser = ValueParser(source: json.bytes, mostValues: mostValues)
    return try unsafe json.bytes.withUnsafeBytes { (raw) throws(ValueError) in try unsafe parser.value(raw, depth: 0) }
  }

  private mutating func value(_ raw: UnsafeRawBufferPointer, depth: Int) throws(ValueError) -> Value {
    count += 1
    guard count <= mostValues else { throw ValueError(reason: .tooMany) }
    switch unsafe byte(raw) {
    case 0x22: return unsafe .string(string(raw))
    case 0x7B:
      guard depth < Self.deepest else { throw ValueError(reason: .tooDeep) }
      return try unsafe object(raw, depth: depth)
    case 0x5B:
      guard depth < Self.deepest else { throw ValueError(reason: .tooDeep) }
      return try unsafe array(raw, depth: depth)
    case 0x74:
      position += 4
      return .bool(true)
    case 0x66:
      position += 5
      return .bool(false)
    case 0x6E:
      position += 4
      return .null
    default: return unsafe .number(number(raw))
    }
  }

  private func byte(_ raw: UnsafeRawBufferPointer) -> UInt8 { position < raw.count ? unsafe raw[position] : 0 }

  private mutating func skipWhitespace(_ raw: UnsafeRawBufferPointer) {
    while unsafe [0x20, 0x0A, 0x0D, 0x09].contains(byte(raw)) { position += 1 }
  }

  /// Skips white space and, if one is there, a comma or colon.
  private mutating func skipSeparator(_ raw: UnsafeRawBufferPointer) {
    unsafe skipWhitespace(raw)
    if unsafe byte(raw) == 0x2C || byte(raw) == 0x3A { position += 1 }
    unsafe skipWhitespace(raw)
  }

  private mutating func array(_ raw: UnsafeRawBufferPointer, depth: Int) throws(ValueError) -> Value {
    position += 1
    unsafe skipWhitespace(raw)
    var elements: [Value] = []
    var weight = 1
    while position < raw.count, unsafe byte(raw) != 0x5D {
      do throws(ValueError) {
        let element = try unsafe value(raw, depth: depth + 1)
        weight += element.weight
        elements.append(element)
      } catch { throw error.inside(String(elements.count)) }
      unsafe skipSeparator(raw)
    }
    position += 1
    return .array(Value.Elements(all: elements, weight: weight))
  }

  private mutating func object(_ raw: UnsafeRawBufferPointer, depth: Int) throws(ValueError) -> Value {
    position += 1
    unsafe skipWhitespace(raw)
    var members: [Members.Member] = []
    var weight = 1
    while position < raw.count, unsafe byte(raw) != 0x7D {
      let name = unsafe string(raw)
      unsafe skipSeparator(raw)
      do throws(ValueError) {
        let member = try unsafe value(raw, depth: depth + 1)
        weight += member.weight + name.utf8Count / 64
        members.append((name, member))
      } catch { throw error.inside(name.text) }
      unsafe skipSeparator(raw)
    }
    position += 1
    var duplicate: ExactString?
    guard let all = Members(members, weight: weight, duplicate: &duplicate) else {
      throw ValueError(reason: .duplicate(duplicate ?? ""))
    }
    return .object(all)
  }

  /// Reads a string from its opening quote to after its closing one.
  private mutating func string(_ raw: UnsafeRawBufferPointer) -> ExactString {
    let start = min(position, raw.count)
    position = start + 1
    var hasEscape = false
    while position < raw.count, unsafe raw[position] != 0x22 {
      if unsafe raw[position] == 0x5C {
        hasEscape = true
        position += 1
      }
      position += 1
    }
    position = min(position + 1, raw.count)
    guard position - start >= 2 else { return "" }
    if hasEscape { return ExactString(CarriedJSON(trusted: source[start..<position])) }
    return unsafe ExactString(String(decoding: raw[start + 1..<position - 1], as: UTF8.self))
  }

  private mutating func number(_ raw: UnsafeRawBufferPointer) -> Number {
    let start = position
    while unsafe Self.isInNumber(byte(raw)) { position += 1 }
    let range = start..<position
    if range.isEmpty { position += 1 }
    if let small = unsafe Self.smallInteger(raw, range) { return .int(small) }
    return unsafe Number(raw[range])
  }

  private static func isInNumber(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x2B, 0x2D, 0x2E, 0x45, 0x65: true
    default: false
    }
  }

  /// The common case: an optional sign and up to 18 digits.
  private static func smallInteger(_ raw: UnsafeRawBufferPointer, _ range: Range<Int>) -> Int? {
    guard range.count <= 18, !range.isEmpty else { return nil }
    var value = 0
    var isNegative = false
    for place in range {
      let byte = unsafe raw[place]
      if byte == 0x2D {
        isNegative = true
      } else if byte &- 0x30 < 10 {
        value = value * 10 + Int(byte - 0x30)
      } else {
        return nil
      }
    }
    return isNegative ? -value : value
  }
}
