import JSON
import Testing

@Suite struct `The scanner` {
  /// What either path says of a text: the value's bytes or the error.
  private func outcome(_ text: Bytes, bytewise: Bool, limits: JSONLimits = JSONLimits()) -> Result<CarriedJSON, JSONError> {
    do throws(JSONError) {
      return .success(
        try bytewise ? CarriedJSON(validatingBytewise: text, limits: limits) : CarriedJSON(validating: text, limits: limits))
    } catch { return .failure(error) }
  }

  /// Compares both paths on a text that stands alone, and on one that is a slice between other bytes.
  private func compare(_ text: [UInt8], limits: JSONLimits = JSONLimits()) {
    let alone = Bytes(text)
    let expected = outcome(alone, bytewise: true, limits: limits)
    var isSame = outcome(alone, bytewise: false, limits: limits) == expected
    for around in [[0x22, 0x78] as [UInt8], [0x31], [0x5D, 0x7D], [0x80, 0xBF, 0xBF], [0x5C]] {
      let slice = Bytes(around + text + around)[around.count..<around.count + text.count]
      isSame = isSame && outcome(slice, bytewise: false, limits: limits) == expected
      isSame = isSame && outcome(slice, bytewise: true, limits: limits) == expected
    }
    #expect(isSame, "\(text)")
  }

  /// What decides how a string goes on.
  private static let pieces: [[UInt8]] = [
    [0x22], [0x5C], [0x5C, 0x22], [0x5C, 0x5C], [0x5C, 0x6E], [0x5C, 0x78], [0x00], [0x1F], [0x20], [0x7F], [0x0A],
    Array(#"\u0041"#.utf8), Array(#"\uD83D\uDE00"#.utf8), Array(#"\uD8"#.utf8), Array(#"\u12G4"#.utf8),
    [0xC2, 0x80], [0xDF, 0xBF], [0xC3, 0xBC], [0xC1, 0xBF], [0xC0, 0x80], [0xC2], [0xC2, 0x22],
    [0xE0, 0xA0, 0x80], [0xE0, 0x9F, 0xBF], [0xE4, 0xB8, 0xAD], [0xED, 0x9F, 0xBF], [0xED, 0xA0, 0x80], [0xEF, 0xBF, 0xBF],
    [0xEE, 0x80, 0x80], [0xE4, 0xB8], [0xE4],
    [0xF0, 0x90, 0x80, 0x80], [0xF0, 0x8F, 0xBF, 0xBF], [0xF4, 0x8F, 0xBF, 0xBF], [0xF4, 0x90, 0x80, 0x80], [0xF0, 0x9F, 0x98, 0x80],
    [0xF0, 0x9F, 0x98], [0xF5, 0x80, 0x80, 0x80],
    [0x80], [0xBF], [0xFE], [0xFF], [0xF8, 0x88, 0x80, 0x80, 0x80],
  ]

  /// Those that may stand in a string.
  private static let validPieces = pieces.filter { piece in
    switch piece[0] {
    case 0..<0x20, 0x22: false
    case 0x5C: [#"\""#, #"\\"#, #"\n"#, #"\u0041"#, #"\uD83D\uDE00"#].contains(String(decoding: piece, as: UTF8.self))
    default: String(validating: piece, as: UTF8.self) != nil
    }
  }

  @Test(arguments: pieces.indices)
  func `says of a string the same on both paths, whatever stands in it at whatever place`(index: Int) {
    let piece = Self.pieces[index]
    for before in 0..<72 {
      for after in [0, 1, 2, 3, 5, 7, 8, 9, 15, 16, 23, 31, 32, 33, 40] {
        let text = [0x22] + [UInt8](repeating: 0x61, count: before) + piece + [UInt8](repeating: 0x62, count: after) + [0x22]
        compare(text)
      }
      compare([0x22] + [UInt8](repeating: 0x61, count: before) + piece)
    }
  }

  @Test func `says the same of runs of characters with one wrong among them`() {
    let characters: [[UInt8]] = [[0xC3, 0xBC], [0xE4, 0xB8, 0xAD], [0xF0, 0x9F, 0x98, 0x80], [0xED, 0x9F, 0xBF], [0x20, 0xD0, 0xB0]]
    for character in characters {
      for count in 0..<14 {
        let run = Array(repeatElement(character, count: count).joined())
        compare([0x22] + run + [0x22])
        compare([0x22] + run)
        for wrong in Self.pieces {
          compare([0x22] + run + wrong + run + [0x22])
          compare([0x22] + run + wrong + character + [0x61, 0x22])
        }
      }
    }
  }

  @Test func `says the same of every byte at every place of a small document`() {
    let document = Array(#" {"a":[1,-2.5e+3,true,false,null,"xé\n",{}],"bcdefghij" : [ ] } "#.utf8)
    for place in document.indices {
      for byte in UInt8.min...UInt8.max {
        var text = document
        text[place] = byte
        compare(text)
      }
      compare(Array(document[..<place]))
      compare(Array(document[place...]))
    }
  }

  @Test func `says the same of random texts made of tokens`() {
    var random = Random(7)
    let tokens = [
      "{", "}", "[", "]", ",", ":", "\"a\"", "\"long enough to leave the first word\"", "0", "-1", "12.5", "1e9", "123456789012", "true",
      "null", " ", "\n        ", "\"é\"",
    ]
    for _ in 0..<20_000 {
      let count = Int.random(in: 1...12, using: &random)
      compare(Array((0..<count).map { _ in tokens.randomElement(using: &random)! }.joined().utf8))
    }
  }

  @Test func `says the same of random valid documents and of their damaged copies`() {
    var random = Random(11)
    for _ in 0..<3000 {
      var text: [UInt8] = []
      Self.write(&text, depth: 0, &random)
      compare(text)
      for _ in 0..<4 {
        var damaged = text
        damaged[Int.random(in: 0..<text.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        compare(damaged)
      }
    }
  }

  private static func write(_ text: inout [UInt8], depth: Int, _ random: inout Random) {
    func string(_ random: inout Random) -> [UInt8] {
      let parts = (0..<Int.random(in: 0...6, using: &random)).map { _ in
        Bool.random(using: &random)
          ? validPieces.randomElement(using: &random)! : [UInt8](repeating: 0x61, count: Int.random(in: 0...20, using: &random))
      }
      return [0x22] + parts.joined() + [0x22]
    }
    switch Int.random(in: 0...(depth < 5 ? 6 : 3), using: &random) {
    case 0: text += Array("\(Int.random(in: -1000...1_000_000, using: &random))".utf8)
    case 1: text += Array(["true", "false", "null", "1.5e-7", "0"].randomElement(using: &random)!.utf8)
    case 2, 3: text += string(&random)
    case 4:
      text.append(0x5B)
      for i in 0..<Int.random(in: 0...4, using: &random) {
        if i > 0 { text += [0x2C, 0x20] }
        write(&text, depth: depth + 1, &random)
      }
      text.append(0x5D)
    default:
      text.append(0x7B)
      for i in 0..<Int.random(in: 0...4, using: &random) {
        if i > 0 { text.append(0x2C) }
        text += string(&random) + [0x3A]
        write(&text, depth: depth + 1, &random)
      }
      text.append(0x7D)
    }
  }

  @Test(arguments: [1, 2, 62, 63, 64, 65, 127, 128, 512, 1024])
  func `holds the depth limit exactly on both paths`(depth: Int) {
    for (open, close, inner) in [("[", "]", "1"), ("{\"a\":", "}", "\"\""), ("[", "]", "[]"), ("[{\"a\":", "}]", "0")] {
      let levels = depth / open.utf8.count { $0 == 0x5B || $0 == 0x7B } + (inner == "[]" ? -1 : 0)
      let text = String(repeating: open, count: max(levels, 0)) + inner + String(repeating: close, count: max(levels, 0))
      for limit in [depth - 1, depth, depth + 1] { compare(Array(text.utf8), limits: JSONLimits(maxDepth: limit)) }
    }
    let nested = Bytes(String(repeating: "[", count: depth) + String(repeating: "]", count: depth))
    #expect(failure { () throws(JSONError) in _ = try CarriedJSON(validating: nested, limits: JSONLimits(maxDepth: depth)) } == nil)
    #expect(
      failure { () throws(JSONError) in _ = try CarriedJSON(validating: nested, limits: JSONLimits(maxDepth: depth - 1)) }?.code == .tooDeep
    )
  }

  @Test func `a bomb of brackets is refused at the limit`() {
    for open in ["[", "{\"a\":"] {
      let text = Bytes(String(repeating: open, count: 1_000_000))
      let error = failure { () throws(JSONError) in _ = try CarriedJSON(validating: text) }
      #expect(error?.code == .tooDeep)
      #expect(error?.offset == 512 * open.utf8.count)
    }
  }

  @Test(arguments: [
    ("", "the text ends where a value should be at line 1, column 1"),
    ("\n\n  nul", "expected a value at line 3, column 3"),
    ("{\"a\":1,\n\"b\" 2}", "expected ':' at line 2, column 5"),
    ("[1\n,\n2", "the text ends where ',' or ']' should be at line 3, column 2"),
    ("{\"a\":1]", "expected ',' or '}' at line 1, column 7"),
    ("{a:1}", "expected a member name in quotes at line 1, column 2"),
    ("\"abc", "the text ends inside a string at line 1, column 5"),
    ("[\"a\tb\"]", "a control character inside a string at line 1, column 4"),
    ("\"\\x\"", "an unknown escape in a string at line 1, column 2"),
    ("\"\\u12\"", "\\u needs four hexadecimal digits at line 1, column 2"),
    ("[01]", "expected ',' or ']' at line 1, column 3"),
    ("[1.]", "expected a digit after the decimal point at line 1, column 4"),
    ("[-]", "expected a digit at line 1, column 3"),
    ("[1e+]", "expected a digit of the exponent at line 1, column 5"),
    ("1 2", "something follows the value at line 1, column 3"),
    ("1\0", "something follows the value at line 1, column 2"),
  ])
  func `names what is wrong with line and column`(text: String, expected: String) {
    let text = Bytes(text)
    for bytewise in [false, true] {
      guard case .failure(let error) = outcome(text, bytewise: bytewise) else {
        Issue.record("accepted")
        continue
      }
      #expect(error.located(in: text).description == expected)
    }
  }

  @Test func `names the byte that is not UTF-8`() {
    let text = Bytes([0x5B, 0x0A, 0x22, 0x61, 0xFF, 0x22, 0x5D])
    let error = failure { () throws(JSONError) in _ = try CarriedJSON(validating: text) }?.located(in: text)
    #expect(error?.code == .invalidUTF8)
    #expect(error?.line == 2)
    #expect(error?.column == 3)
  }

  @Test(arguments: [
    "0.1", "18446744073709551615", "1E400", "-0", "1.0", "\"\\u0000\\ud800\\/\"", "{ \"b\" : 1, \"a\":2,\"b\":3 }", "[ ]",
    "\"\u{7F}\u{10FFFF}\"",
  ])
  func `keeps the exact bytes of what it accepts`(text: String) throws {
    #expect(try value(" \t\r\n" + text + "\n ").bytes == Bytes(text))
  }
}
