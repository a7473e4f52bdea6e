import JSON
import JSONSchema
import Testing

@Suite struct PatternTests {
  private func quoted(_ text: String) -> String { CarriedJSON(string: text).bytes.string }

  /// Pattern, text, whether it is found: where PCRE2 left alone would say something else, or where ECMA-262 is peculiar.
  static let matches: [(pattern: String, text: String, isFound: Bool)] = [
    ("b", "abc", true), ("^b", "abc", false), ("^abc$", "abc\n", false), (#"^\w$"#, "é", false), (#"^\d$"#, "٣", false),
    (#"\bé"#, "é", false), (#"^\s$"#, "\u{feff}", true), (#"^\S$"#, "\u{feff}", false), (#"^[\s]$"#, "\u{2029}", true),
    (#"^[^\S]$"#, "\u{a0}", true), (#"^[\S]$"#, "x", true), (#"^[\S]$"#, "\u{3000}", false), (#"^[\S]$"#, "\u{1F600}", true),
    ("^.$", "\u{2028}", false), ("^.$", "\r", false), ("^.$", "\u{85}", true), ("^.$", "😀", true), ("^[😀-😂]$", "😁", true),
    (#"^\ud83d\ude00$"#, "😀", true), (#"^\u{1F600}$"#, "😀", true), (#"^[\ud83d\ude00]$"#, "😀", true),
    (#"^\x41\u0042\cA\0$"#, "AB\u{1}\0", true),
    ("^[[:alpha:]]$", "a]", true), ("^[[:alpha:]]$", "b", false), ("^[]$", "", false), ("[]", "a", false), ("^a[]?$", "a", true),
    ("^[]*$", "", true), ("^[^]+$", "\n\r", true), ("^[:a:]$", ":", true), ("^[.=]$", "=", true), ("^[^]$", "\n", true),
    (#"^[\b]$"#, "\u{8}", true), ("^[a-]$", "-", true), ("^[^^]$", "^", false), ("^[&&]$", "&", true), ("a{,5}", "a{,5}", true),
    ("^x{2}$", "xx", true), ("^{$", "{", true), ("^}]$", "}]", true), (#"^(a)?\1$"#, "", true), (#"^(?<x>a)\k<x>$"#, "aa", true),
    (#"^(?P<x>a)\k<x>$"#, "aa", true), (#"^(a)\1$"#, "aa", true), ("^(?=a)a(?!b)", "ac", true), ("(?<=a)b", "ab", true),
    ("(?<!a)b", "ab", false),
    ("^(?i)abc$", "ABC", true), ("^(?i:a)b$", "AB", false), ("^a+?b$", "aab", true),
    (#"^\/\.\-\_?"#.replacing(#"\_?"#, with: ""), "/.-", true),
    (#"^\p{Lu}\P{Lu}$"#, "Éa", true), (#"^\p{Uppercase_Letter}$"#, "É", true), (#"^[\p{Letter}\d]+$"#, "é1", true),
    (#"^\p{Script=Greek}$"#, "λ", true), (#"^\p{gc=Nd}$"#, "٣", true), ("^#x y$", "#x y", true), ("", "anything", true), ("a|", "b", true),
    (#"^\t\n\v\f\r$"#, "\t\n\u{b}\u{c}\r", true), (#"^[\t\v]$"#, "\u{b}", true),
  ]

  @Test(arguments: matches)
  func `a pattern means what ECMA-262 says`(pattern: String, text: String, isFound: Bool) throws {
    #expect(try accepts(#"{"pattern":\#(quoted(pattern))}"#, quoted(text)) == isFound)
    #expect(try accepts(#"{"patternProperties":{\#(quoted(pattern)):false}}"#, #"{\#(quoted(text)):1}"#) != isFound)
  }

  @Test(arguments: [
    "(", ")", "[", "[a", "a**", "a++", "a*+", "a{2}{3}", "*", "?a", "(*ACCEPT)", "(*UTF)a", "(?R)", "(?1)", "(?C1)", "(?#c)", "(?>a)",
    "(?|a)",
    "(?(1)a|b)", "(?&x)", "(?s)a", "(?x)a b", #"\Qa\E"#, #"\A"#, #"\Z"#, #"\z"#, #"\K"#, #"\C"#, #"\R"#, #"\X"#, #"\h"#, #"\N"#, #"\G"#,
    #"\a"#,
    #"\e"#, #"\1"#, #"\k<x>"#, #"\k"#, #"\c1"#, #"\x4"#, #"\u12"#, #"\u{110000}"#, #"\ud800"#, #"\p{Nonsense}"#, #"\pL"#, #"\p{L"#,
    "a{70000}", "\\",
    "[z-a]", #"\01"#, #"[\B]"#, "(?<1>a)", "(?<a", #"\é"#, "((((a{999}){999}){999}){999})",
  ])
  func `what ECMA-262 does not have is refused`(pattern: String) throws {
    let error = try #require(try refusal(#"{"pattern":\#(quoted(pattern))}"#), "accepted")
    #expect([error.code] == [.invalidPattern])
    #expect(error.pointer == "/pattern")
  }

  @Test func `a pattern of any length or nesting is refused or compiled`() throws {
    #expect(try refusal(#"{"pattern":"\#(String(repeating: "a", count: 20000))"}"#)?.code == .invalidPattern)
    #expect(
      try refusal(#"{"pattern":"\#(String(repeating: "(", count: 8000) + String(repeating: ")", count: 8000))"}"#)?.code == .invalidPattern)
    #expect(try accepts(#"{"pattern":"\#(String(repeating: "a?", count: 4000))"}"#, #""b""#))
  }
}
