/// Why a pattern is refused.
struct PatternError: Error {
  var message: String
}

/// Rewrites a regular expression of ECMA-262, as JSON Schema has it, into one that PCRE2 reads the same way.
///
/// The two differ in what `\s`, `.`, `[` in a class, `\u` and `\p` mean; and PCRE2 has more, which is refused here: verbs, recursion, callouts,
/// possessive quantifiers, `\Q` and the like. Kindnesses towards what tools send: any ASCII punctuation may be escaped, a brace that is no
/// quantifier is itself, `(?i)` may stand where Python allows it.
struct PatternTranslator {
  struct Translation {
    var pattern = ""
    /// The greatest number in a quantifier: PCRE2 may do that many steps between two looks at the budget.
    var greatestRepeat = 0
    var hasBackreference = false
  }

  private let source: [Unicode.Scalar]
  private var position = 0
  private var result = Translation()

  private init(_ source: String) { self.source = Array(source.unicodeScalars) }

  static func translate(_ source: String) throws(PatternError) -> Translation {
    var translator = PatternTranslator(source)
    try translator.translateAll()
    return translator.result
  }

  private var current: Unicode.Scalar? { position < source.count ? source[position] : nil }

  private func peek(_ distance: Int) -> Unicode.Scalar? {
    position + distance < source.count ? source[position + distance] : nil
  }

  private mutating func emit(_ text: String) { result.pattern += text }
  private mutating func emit(_ scalar: Unicode.Scalar) { result.pattern.unicodeScalars.append(scalar) }
  private mutating func emit(codePoint: UInt32) { emit("\\x{" + String(codePoint, radix: 16) + "}") }

  private mutating func translateAll() throws(PatternError) {
    /// Whether a quantifier may follow what was just written.
    var isQuantifiable = false
    while let scalar = current {
      switch scalar {
      case "\\":
        position += 1
        isQuantifiable = try translateEscape()
      case "[":
        try translateClass()
        isQuantifiable = true
      case "(":
        try translateGroupStart()
        isQuantifiable = false
      case ")", "|", "^", "$":
        emit(scalar)
        position += 1
        isQuantifiable = scalar == ")"
      case ".":
        // ECMA's line terminators; PCRE2 would leave out the line feed only.
        emit("[^\\n\\r\\x{2028}\\x{2029}]")
        position += 1
        isQuantifiable = true
      case "*", "+", "?":
        guard isQuantifiable else { throw PatternError(message: "a quantifier has nothing to repeat") }
        emit(scalar)
        position += 1
        translateLazyMark()
        isQuantifiable = false
      case "{":
        if try translateBraces(isQuantifiable) {
          isQuantifiable = false
        } else {
          emit("\\{")
          position += 1
          isQuantifiable = true
        }
      default:
        if scalar == "]" || scalar == "}" { emit("\\") }
        emit(scalar)
        position += 1
        isQuantifiable = true
      }
    }
  }

  private mutating func translateLazyMark() {
    guard current == "?" else { return }
    emit("?")
    position += 1
  }

  /// - Returns: false when the brace does not begin a quantifier.
  private mutating func translateBraces(_ isQuantifiable: Bool) throws(PatternError) -> Bool {
    var end = position + 1
    while end < source.count, source[end] == "," || source[end].isASCIIDigit { end += 1 }
    guard end < source.count, source[end] == "}", end > position + 1, source[position + 1].isASCIIDigit else { return false }
    let inside = source[position + 1..<end].split(separator: ",", omittingEmptySubsequences: false)
    guard inside.count <= 2 else { return false }
    guard isQuantifiable else { throw PatternError(message: "a quantifier has nothing to repeat") }
    for number in inside where !number.isEmpty {
      var text = ""
      text.unicodeScalars.append(contentsOf: number)
      guard let value = Int(text), value <= 65535 else { throw PatternError(message: "a quantifier is greater than 65535") }
      result.greatestRepeat = max(result.greatestRepeat, value)
    }
    for place in position...end { emit(source[place]) }
    position = end + 1
    translateLazyMark()
    return true
  }

  private mutating func translateGroupStart() throws(PatternError) {
    position += 1
    if current == "*" { throw PatternError(message: "a quantifier has nothing to repeat") }
    guard current == "?" else { return emit("(") }
    let rest = source[(position + 1)...]
    for start in [":", "=", "!", "<=", "<!", "i:", "-i:", "i)"] where rest.starts(with: start.unicodeScalars) {
      emit("(?" + start)
      position += 1 + start.unicodeScalars.count
      return
    }
    guard rest.first == "<" || rest.starts(with: "P<".unicodeScalars), let open = rest.firstIndex(of: "<"),
      let close = rest.firstIndex(of: ">"), rest[rest.index(after: open)..<close].allSatisfy({ $0.isASCIIWord })
    else {
      throw PatternError(message: "a group begins with a mark that ECMA-262 does not have")
    }
    emit("(?<")
    for scalar in rest[rest.index(after: open)...close] { emit(scalar) }
    position = close + 1
  }
}

// MARK: - Escapes

extension PatternTranslator {
  /// What `\s` matches: ECMA-262's white space and line terminators.
  private static let space: [ClosedRange<UInt32>] = [
    0x09...0x0D, 0x20...0x20, 0xA0...0xA0, 0x1680...0x1680, 0x2000...0x200A, 0x2028...0x2029, 0x202F...0x202F, 0x205F...0x205F,
    0x3000...0x3000, 0xFEFF...0xFEFF,
  ]

  private static func classItems(_ ranges: [ClosedRange<UInt32>]) -> String {
    ranges.map { "\\x{\(String($0.lowerBound, radix: 16))}-\\x{\(String($0.upperBound, radix: 16))}" }.joined()
  }

  private static let spaceItems = classItems(space)
  private static let otherItems: String = {
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
  private mutating func translateEscape() throws(PatternError) -> Bool {
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
  private mutating func translateCommonEscape(_ scalar: Unicode.Scalar) throws(PatternError) {
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

// MARK: - Classes

extension PatternTranslator {
  /// A class from its opening bracket to after its closing one.
  private mutating func translateClass() throws(PatternError) {
    emit("[")
    position += 1
    if current == "^" {
      emit("^")
      position += 1
    }
    // In ECMA-262 `[]` is empty; PCRE2 takes it so by an option (PCRE2_ALLOW_EMPTY_CLASS).
    while let scalar = current {
      position += 1
      switch scalar {
      case "]": return emit("]")
      // PCRE2 would see `[:alpha:]` and the like.
      case "[", "^": emit("\\\(scalar)")
      case "\\":
        guard let escaped = current else { throw PatternError(message: "the pattern ends with a backslash") }
        switch escaped {
        case "b":
          emit("\\x{8}")
          position += 1
        case "s", "S":
          emit(escaped == "s" ? Self.spaceItems : Self.otherItems)
          position += 1
        default: try translateCommonEscape(escaped)
        }
      default: emit(scalar)
      }
    }
    throw PatternError(message: "a class is not closed")
  }
}

extension Unicode.Scalar {
  var isASCIIDigit: Bool { ("0"..."9").contains(self) }
  var isASCIILetter: Bool { ("a"..."z").contains(self) || ("A"..."Z").contains(self) }
  var isASCIIWord: Bool { isASCIIDigit || isASCIILetter || self == "_" }
}
