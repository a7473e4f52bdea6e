/// Why a pattern is refused.
struct PatternError: Error {
  var message: String
}

/// Rewrites a regular expression of ECMA-262, as JSON Schema has it, into one that PCRE2 reads the same way.
///
/// The two differ in what `\s`, `.`, `[` in a class, `\u` and `\p` mean; and PCRE2 has more, which is refused here: verbs, recursion, callouts,
/// possessive quantifiers, `\Q` and the like. Kindnesses towards what tools send: any ASCII punctuation may be escaped, a brace that is no
/// quantifier is itself, `(?i)` may stand where Python allows it.
///
/// What stays different: a group inside a repeat keeps its text from the round before, where ECMA-262 forgets it; and a lookbehind must have a
/// fixed length (PCRE2 before 10.43), else it is refused.
struct PatternTranslator {
  struct Translation {
    var pattern = ""
    /// The greatest number in a quantifier: PCRE2 may do that many steps between two looks at the budget.
    var greatestRepeat = 0
    var hasBackreference = false
  }

  let source: [Unicode.Scalar]
  var position = 0
  var result = Translation()

  private init(_ source: String) { self.source = Array(source.unicodeScalars) }

  static func translate(_ source: String) throws(PatternError) -> Translation {
    var translator = PatternTranslator(source)
    try translator.translateAll()
    return translator.result
  }

  var current: Unicode.Scalar? { position < source.count ? source[position] : nil }

  func peek(_ distance: Int) -> Unicode.Scalar? {
    position + distance < source.count ? source[position + distance] : nil
  }

  mutating func emit(_ text: String) { result.pattern += text }
  mutating func emit(_ scalar: Unicode.Scalar) { result.pattern.unicodeScalars.append(scalar) }
  mutating func emit(codePoint: UInt32) { emit("\\x{" + String(codePoint, radix: 16) + "}") }

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

extension PatternTranslator {
  /// A class from its opening bracket to after its closing one.
  private mutating func translateClass() throws(PatternError) {
    position += 1
    let isNegated = current == "^"
    if isNegated { position += 1 }
    if current == "]" {
      // Nothing, or everything; PCRE2 would forget a quantifier after its own form of the former.
      emit(isNegated ? "[\\x{0}-\\x{10ffff}]" : "(?:(?!))")
      position += 1
      return
    }
    emit(isNegated ? "[^" : "[")
    while let scalar = current {
      position += 1
      switch scalar {
      case "]": return emit("]")
      // PCRE2 would see `[:alpha:]` and the like.
      case "[", "^", ":", ".", "=": emit("\\\(scalar)")
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
