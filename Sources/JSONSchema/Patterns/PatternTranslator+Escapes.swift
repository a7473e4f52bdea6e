extension PatternTranslator {
  /// What `\s` matches: ECMA-262's white space and line terminators.
  private static let space: [ClosedRange<UInt32>] = [
    0x09...0x0D, 0x20...0x20, 0xA0...0xA0, 0x1680...0x1680, 0x2000...0x200A, 0x2028...0x2029, 0x202F...0x202F, 0x205F...0x205F,
    0x3000...0x3000, 0xFEFF...0xFEFF,
  ]

  private static func classItems(_ ranges: [ClosedRange<UInt32>]) -> String {
    ranges.map { "\\x{\(String($0.lowerBound, radix: 16))}-\\x{\(String($0.upperBound, radix: 16))}" }.joined()
  }

  static let spaceItems = classItems(space)
  static let otherItems: String = {
    var gaps: [ClosedRange<UInt32>] = []
    var from: UInt32 = 0
    for range in space {
      gaps.append(from...range.lowerBound - 1)
      from = range.upperBound + 1
    }
    // PCRE2 refuses a surrogate as the end of a range, not inside one.
    return classItems(gaps + [from...0x10FFFF])
  }()

  /// What follows a backslash outside a class. - Returns: whether it can be repeated.
  mutating func translateEscape() throws(PatternError) -> Bool {
    guard let scalar = current else { throw PatternError(message: "the pattern ends with a backslash") }
    switch scalar {
    case "b", "B":
      emit("\\")
      emit(scalar)
      position += 1
      return false
    case "1"..."9":
      result.hasBackreference = true
      emit("\\g{")
      while let digit = current, digit.isASCIIDigit {
        emit(digit)
        position += 1
      }
      emit("}")
    case "k":
      result.hasBackreference = true
      let rest = source[(position + 1)...]
      guard rest.first == "<", let close = rest.firstIndex(of: ">"), rest[(position + 2)..<close].allSatisfy({ $0.isASCIIWord }) else {
        throw PatternError(message: "\\k needs a group's name in angle brackets")
      }
      emit("\\k")
      for place in position + 1...close { emit(source[place]) }
      position = close + 1
    case "s", "S":
      emit("[" + (scalar == "s" ? Self.spaceItems : Self.otherItems) + "]")
      position += 1
    default: try translateCommonEscape(scalar)
    }
    return true
  }

  /// Escapes that mean the same inside a class and outside.
  mutating func translateCommonEscape(_ scalar: Unicode.Scalar) throws(PatternError) {
    switch scalar {
    case "d", "D", "w", "W", "t", "n", "r", "f":
      emit("\\")
      emit(scalar)
      position += 1
    case "v":
      emit("\\x{b}")
      position += 1
    case "0":
      if peek(1)?.isASCIIDigit == true { throw PatternError(message: "an octal escape") }
      emit("\\x{0}")
      position += 1
    case "c":
      guard let letter = peek(1), letter.isASCIILetter else { throw PatternError(message: "\\c needs a letter") }
      emit(codePoint: letter.value & 0x1F)
      position += 2
    case "x":
      guard let value = hex(at: position + 1, count: 2) else { throw PatternError(message: "\\x needs two hexadecimal digits") }
      emit(codePoint: value)
      position += 3
    case "u": try translateUnicodeEscape()
    case "p", "P": try translateProperty(scalar)
    default:
      guard scalar.isASCII, !scalar.isASCIIWord else {
        throw PatternError(message: scalar.isASCII ? "\\\(scalar) is no escape of ECMA-262" : "an escape that ECMA-262 does not have")
      }
      emit("\\")
      emit(scalar)
      position += 1
    }
  }

  private func hex(at start: Int, count: Int) -> UInt32? {
    guard start + count <= source.count else { return nil }
    var value: UInt32 = 0
    for scalar in source[start..<start + count] {
      guard scalar.isASCII, let digit = UInt8(scalar.value).hexDigitValue else { return nil }
      value = value << 4 | UInt32(digit)
    }
    return value
  }

  private mutating func translateUnicodeEscape() throws(PatternError) {
    if peek(1) == "{" {
      guard let close = source[position...].firstIndex(of: "}"), close - position - 2 <= 8,
        let value = hex(at: position + 2, count: close - position - 2), close > position + 2, Unicode.Scalar(value) != nil
      else { throw PatternError(message: "\\u{} needs a code point in hexadecimal digits") }
      emit(codePoint: value)
      position = close + 1
      return
    }
    guard let value = hex(at: position + 1, count: 4) else { throw PatternError(message: "\\u needs four hexadecimal digits") }
    position += 5
    if value & 0xFC00 == 0xD800, current == "\\", peek(1) == "u", let low = hex(at: position + 2, count: 4), low & 0xFC00 == 0xDC00 {
      emit(codePoint: 0x10000 + (value & 0x3FF) << 10 + (low & 0x3FF))
      position += 6
      return
    }
    guard Unicode.Scalar(value) != nil else { throw PatternError(message: "half of a surrogate pair, which no text contains") }
    emit(codePoint: value)
  }

  private mutating func translateProperty(_ mark: Unicode.Scalar) throws(PatternError) {
    guard peek(1) == "{", let close = source[position...].firstIndex(of: "}") else {
      throw PatternError(message: "\\p needs a property in braces")
    }
    var name = ""
    name.unicodeScalars.append(contentsOf: source[position + 2..<close])
    guard let property = UnicodeProperty.pcre(name) else { throw PatternError(message: "an unknown Unicode property in \\p{}") }
    emit("\\")
    emit(mark)
    emit("{" + property + "}")
    position = close + 1
  }
}
