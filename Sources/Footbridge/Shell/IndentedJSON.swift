import JSON

/// JSON laid out for people: what fits in a line stands in one.
enum IndentedJSON {
  private static let width = 100

  static func text(of value: CarriedJSON) -> Bytes {
    var text = ByteBuffer(capacity: value.bytes.count * 2)
    write(value, indent: 0, room: width, to: &text)
    text.append(0x0A)
    return text.finish()
  }

  /// `room`: columns that are left on this line.
  private static func write(_ value: CarriedJSON, indent: Int, room: Int, to text: inout ByteBuffer) {
    guard value.kind == .object || value.kind == .array else { return text.append(value.bytes) }
    if let line = line(value, most: room) { return text.append(line) }
    let isObject = value.kind == .object
    text.append(isObject ? 0x7B : 0x5B)
    var isFirst = true
    func next() {
      if !isFirst { text.append(0x2C) }
      isFirst = false
      text.append("\n" + String(repeating: " ", count: indent + 2))
    }
    value.forEachMember { name, member in
      next()
      let key = CarriedJSON(string: name.text).bytes
      text.append(key)
      text.append(": ")
      write(member, indent: indent + 2, room: width - indent - 4 - key.count, to: &text)
    }
    value.forEachElement { element in
      next()
      write(element, indent: indent + 2, room: width - indent - 2, to: &text)
    }
    text.append("\n" + String(repeating: " ", count: indent))
    text.append(isObject ? 0x7D : 0x5D)
  }

  /// The value on one line; nil when that is too long.
  private static func line(_ value: CarriedJSON, most: Int) -> Bytes? {
    // Its layout so far may be wide, but not by more than this.
    guard value.bytes.count <= 8 * max(0, most) else { return nil }
    var text = ByteBuffer(capacity: value.bytes.count)
    writeLine(value, to: &text)
    return text.count <= most ? text.finish() : nil
  }

  private static func writeLine(_ value: CarriedJSON, to text: inout ByteBuffer) {
    var isFirst = true
    switch value.kind {
    case .object:
      text.append(0x7B)
      value.forEachMember { name, member in
        text.append(isFirst ? " " : ", ")
        isFirst = false
        text.append(CarriedJSON(string: name.text).bytes)
        text.append(": ")
        writeLine(member, to: &text)
      }
      text.append(isFirst ? "}" : " }")
    case .array:
      text.append(0x5B)
      value.forEachElement { element in
        if !isFirst { text.append(", ") }
        isFirst = false
        writeLine(element, to: &text)
      }
      text.append(0x5D)
    default: text.append(value.bytes)
    }
  }
}
