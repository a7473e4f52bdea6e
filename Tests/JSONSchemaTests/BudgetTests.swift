import JSON
import JSONSchema
import Testing

/// Without a budget each of these would not end in a lifetime.
@Suite struct BudgetTests {
  private static let tooExpensive = "the schema is too expensive to check against this value"

  private func doubling(_ keyword: String, leaf: String) -> String {
    let steps = (0..<60).map { ##""d\##($0)":{"\##(keyword)":[{"$ref":"#/$defs/d\##($0 + 1)"},{"$ref":"#/$defs/d\##($0 + 1)"}]}"## }
    return ##"{"$ref":"#/$defs/d0","$defs":{\##(steps.joined(separator: ",")),"d60":\##(leaf)}}"##
  }

  @Test(arguments: [("anyOf", #"{"type":"string"}"#), ("oneOf", #"{"type":"string"}"#), ("oneOf", "true"), ("allOf", "true")])
  func `a schema of exponential cost ends as a failure`(keyword: String, leaf: String) throws {
    #expect(try messages(doubling(keyword, leaf: leaf), "1").contains(Self.tooExpensive))
  }

  @Test func `an exponential schema in a negation or a condition does not pass`() throws {
    let costly = doubling("anyOf", leaf: #"{"type":"string"}"#).dropFirst()
    #expect(try messages(#"{"not":{"$ref":"a"},"$defs":{"a":{"$id":"a",\#(costly)}}"#, "1") == [Self.tooExpensive])
    #expect(try messages(#"{"if":{"$ref":"a"},"else":true,"$defs":{"a":{"$id":"a",\#(costly)}}"#, "1") == [Self.tooExpensive])
    #expect(try messages(#"{"contains":{"$ref":"a"},"minContains":0,"$defs":{"a":{"$id":"a",\#(costly)}}"#, "[1]") == [Self.tooExpensive])
  }

  @Test func `what is known is said even when the rest is too expensive`() throws {
    let costly = doubling("anyOf", leaf: #"{"type":"string"}"#).dropFirst()
    let said = try messages(#"{"minimum":5,"$defs":{"a":{"$id":"a",\#(costly)},"allOf":[{"$ref":"a"}]}"#, "1")
    #expect(said == ["/ must be at least 5", Self.tooExpensive])
  }

  @Test func `words about nested forms do not grow without bound`() throws {
    let steps = (0..<8).map {
      ##""d\##($0)":{"anyOf":[{"properties":{"a":{"$ref":"#/$defs/d\##($0 + 1)"},"b":{"$ref":"#/$defs/d\##($0 + 1)"}}}]}"##
    }
    var instance = "1"
    for _ in 0..<8 { instance = #"{"a":\#(instance),"b":\#(instance)}"# }
    let said = try messages(##"{"$ref":"#/$defs/d0","$defs":{\##(steps.joined(separator: ",")),"d8":{"type":"string"}}}"##, instance)
    #expect(said.count == 1)
    #expect(said.allSatisfy { $0.utf8.count < 2000 })
  }

  @Test(arguments: ["^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "(.*)*[xy]$", #"^(\\w+\\s?)*$"#, "^(?:(?:a*)*)*$"])
  func `a catastrophic pattern ends as a failure`(pattern: String) throws {
    let text = #""\#(String(repeating: "a", count: 5000))!""#
    let shown = pattern.replacing(#"\\"#, with: #"\"#)
    #expect(
      try failures(#"{"pattern":"\#(pattern)"}"#, text) == [
        SchemaFailure(instancePointer: "", schemaPointer: "/pattern", message: "the pattern \(shown) was too expensive to match")
      ])
    #expect(try messages(#"{"not":{"pattern":"\#(pattern)"}}"#, text) == ["the pattern \(shown) was too expensive to match"])
    #expect(
      try messages(#"{"patternProperties":{"\#(pattern)":true}}"#, #"{\#(text):1}"#) == ["the pattern \(shown) was too expensive to match"])
  }

  /// PCRE2's own match limit sees none of these: each try is short, or runs in one of its loops.
  @Test(arguments: ["(?=.*b)c", "(?:a{30000}b)", #"(a*)\\1b|c"#, "a*[bc]", "(?=(a*))b"])
  func `a pattern of quadratic cost ends as a failure on a long text`(pattern: String) throws {
    let text = #""\#(String(repeating: "a", count: 400_000))bb""#.replacing("bb\"", with: "\"")
    let said = try messages(#"{"pattern":"\#(pattern)"}"#, text)
    #expect(said.count == 1)
  }

  @Test func `many patterns share one budget`() throws {
    let text = String(repeating: "a", count: 17)
    let texts = (0..<2000).map { #""\#(text)!\#($0)""# }.joined(separator: ",")
    #expect(try messages(#"{"items":{"not":{"pattern":"^(a+)+$"}}}"#, "[\(texts)]").count == 1)
  }

  @Test func `long texts and long arrays are within the budget`() throws {
    let text = String(repeating: "a", count: 2_000_000)
    #expect(try accepts(#"{"pattern":"^[a-z]*$","minLength":2000000,"maxLength":2000000}"#, "\"\(text)\""))
    #expect(try accepts(#"{"pattern":"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"}"#, "\"\(text)\""))
    let numbers = (0..<200_000).map { "\($0)" }.joined(separator: ",")
    #expect(try accepts(#"{"items":{"type":"integer","minimum":0,"maximum":1e6,"multipleOf":1},"uniqueItems":true}"#, "[\(numbers)]"))
    let same = Array(repeating: "[[1]]", count: 50_000).joined(separator: ",")
    #expect(try accepts(#"{"uniqueItems":true}"#, "[\(same)]") == false)
  }

  @Test func `comparing a large value again and again is paid for`() throws {
    let large = "[" + Array(repeating: "0", count: 100_000).joined(separator: ",") + "]"
    let checks = Array(repeating: #"{"uniqueItems":true}"#, count: 10_000).joined(separator: ",")
    #expect(try messages(#"{"allOf":[\#(checks)]}"#, "[\(large),1]") == [Self.tooExpensive])
  }

  @Test func `dividing a number of many digits again and again is paid for`() throws {
    let checks = Array(repeating: #"{"multipleOf":7}"#, count: 2000).joined(separator: ",")
    let number = String(repeating: "7", count: 300_000)
    #expect(try messages(#"{"allOf":[\#(checks)]}"#, number) == [Self.tooExpensive])
    #expect(try accepts(#"{"multipleOf":7,"minimum":0}"#, number))
    #expect(try messages(#"{"multipleOf":3,"maximum":1e300}"#, number + "1") == ["/ must be a multiple of 3", "/ must be at most 1e300"])
  }

  @Test func `comparing a number of many digits again and again is paid for`() throws {
    let number = String(repeating: "7", count: 100_000)
    for check in [#"{"maximum":\#(number)}"#, #"{"const":\#(number)}"#, #"{"enum":[\#(number)]}"#] {
      // One form names the rest: the schema itself may not be too large.
      let checks = Array(repeating: ##"{"$ref":"#/$defs/a"}"##, count: 2000).joined(separator: ",")
      #expect(try messages(##"{"allOf":[\##(checks)],"$defs":{"a":\##(check)}}"##, number) == [Self.tooExpensive])
      #expect(try accepts(check, number))
    }
  }

  @Test func `a long list of values of any kind costs one look`() throws {
    let values = (0..<1000).map { "\($0)" } + (0..<1000).map { #"{"a":[\#($0)]}"# } + (0..<1000).map { #""v\#($0)""# }
    let schema = #"{"items":{"enum":[\#(values.joined(separator: ","))]}}"#
    let all = values + values + values
    #expect(try accepts(schema, "[\(all.joined(separator: ","))]"))
    #expect(
      try messages(schema, "[\(all.joined(separator: ",")),1000]").map { $0.hasPrefix("/9000 must be one of 0, 1, 2") } == [true])
  }

  @Test func `thousands of forms at a place with a long name do not make gigabytes of words`() throws {
    let forms = (0..<10_000).map { #"{"const":\#($0)}"# }.joined(separator: ",")
    let name = String(repeating: "n", count: 200_000)
    let said = try failures(#"{"properties":{"\#(name)":{"anyOf":[\#(forms)]}}}"#, #"{"\#(name)":"x"}"#)
    #expect(said.map(\.message) == [Self.tooExpensive])
    #expect(try messages(#"{"anyOf":[\#(forms)]}"#, #""x""#).allSatisfy { $0.hasSuffix(", 19 and 9980 more") })
  }

  @Test(arguments: [
    ##"{"items":{"$ref":"#"}}"##, ##"{"anyOf":[{"$ref":"#/$defs/n"}],"$defs":{"n":{"oneOf":[{"items":{"$ref":"#"}}]}}}"##,
    ##"{"contains":{"not":{"not":{"$ref":"#"}}}}"##, ##"{"unevaluatedItems":{"allOf":[{"$ref":"#"}]}}"##,
    ##"{"items":{"if":{"$ref":"#"},"then":{"$ref":"#"}}}"##,
  ])
  func `a value that is nested too deeply for a schema is a failure, not a crash`(schema: String) throws {
    let deep = String(repeating: "[", count: 500) + String(repeating: "]", count: 500)
    #expect(try messages(schema, deep) == ["the value is nested too deeply for this schema"])
  }

  @Test func `one compiled schema serves many tasks at once`() async throws {
    let schema = try compile(#"{"items":{"pattern":"^(a+)+$","enum":["aaa","b"]},"uniqueItems":true}"#)
    let expected = ["/1 must match the pattern ^(a+)+$"]
    let said = try await withThrowingTaskGroup(of: [String].self) { group in
      for _ in 0..<64 { group.addTask { try schema.failures(of: json(#"["aaa","b"]"#)).map(\.message) } }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(said == Array(repeating: expected, count: 64))
  }
}
