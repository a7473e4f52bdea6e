import JSONSchema
import Testing

@Suite struct MessageTests {
  /// A schema, an instance, and all that is said about it.
  static let sentences: [(schema: String, instance: String, messages: [String])] = [
    (#"{"type":"object"}"#, "[]", ["/ must be an object, not an array"]),
    (#"{"properties":{"range":{"type":"string"}}}"#, #"{"range":5}"#, ["/range must be a string, not a number"]),
    (#"{"type":["string","null","integer"]}"#, "1.5", ["/ must be a string, an integer or null, not a number with a fraction"]),
    (#"{"required":["sheet","b"]}"#, "{}", [#""sheet" is required but missing at /"#, #""b" is required but missing at /"#]),
    (#"{"items":{"required":["sheet"]}}"#, "[{}]", [#""sheet" is required but missing at /0"#]),
    (#"{"properties":{"mode":{"enum":["a","b",null,1.50]}}}"#, #"{"mode":"c"}"#, [#"/mode must be one of "a", "b", null, 1.5"#]),
    (#"{"const":{"a":[true]}}"#, "1", [#"/ must be {"a":[true]}"#]),
    (#"{"enum":[]}"#, "1", ["/ must be one of no values: nothing is allowed here"]),
    (
      #"{"properties":{"sheet":true,"range":true},"additionalProperties":false}"#, #"{"sheeet":1}"#,
      [#""sheeet" is not allowed at /, only "sheet", "range""#]
    ),
    (#"{"properties":{"a":false}}"#, #"{"a":1}"#, ["/a is not allowed"]),
    (#"{"minimum":3}"#, "2", ["/ must be at least 3"]),
    (#"{"maximum":3}"#, "4", ["/ must be at most 3"]),
    (#"{"exclusiveMinimum":0.5}"#, "0.5", ["/ must be more than 0.5"]),
    (#"{"exclusiveMaximum":1e30}"#, "1e30", ["/ must be less than 1000000000000000000000000000000"]),
    (#"{"multipleOf":0.01}"#, "0.001", ["/ must be a multiple of 0.01"]),
    (#"{"minLength":1}"#, #""""#, ["/ must be at least 1 character long, but has 0"]),
    (#"{"maxLength":2}"#, #""äöü""#, ["/ must be at most 2 characters long, but has 3"]),
    (#"{"pattern":"^\\d+$"}"#, #""x""#, [#"/ must match the pattern ^\d+$"#]),
    (#"{"format":"date"}"#, #""x""#, ["/ must be a date, such as 2026-01-31"]),
    (#"{"minItems":2}"#, "[1]", ["/ must have at least 2 elements, but has 1"]),
    (#"{"maxItems":0}"#, "[1]", ["/ must have at most 0 elements, but has 1"]),
    (#"{"uniqueItems":true}"#, "[1,2,1.0]", ["/ must not hold the same element twice, but elements 0 and 2 are equal"]),
    (#"{"minProperties":1}"#, "{}", ["/ must have at least 1 member, but has 0"]),
    (#"{"maxProperties":0}"#, #"{"a":1}"#, ["/ must have at most 0 members, but has 1"]),
    (#"{"dependentRequired":{"a":["b"]}}"#, #"{"a":1}"#, [#""b" is required at / because "a" is there"#]),
    (#"{"propertyNames":{"maxLength":1}}"#, #"{"ab":1}"#, [#"the name "ab" at / must be at most 1 character long, but has 2"#]),
    (#"{"contains":{"const":1}}"#, "[2]", ["/ must have at least 1 element that fit (contains), but has 0"]),
    (#"{"contains":true,"maxContains":1}"#, "[1,2]", ["/ must have at most 1 element that fit (contains), but has 2"]),
    (#"{"not":{"type":"string"}}"#, #""x""#, ["/ is something that the schema forbids (not)"]),
    (#"{"unevaluatedProperties":false}"#, #"{"a":1}"#, [#""a" is not allowed at /"#]),
    (#"{"prefixItems":[true],"items":false}"#, "[1,2]", ["/1 is not allowed"]),
    (#"{"items":{"items":{"type":"null"}}}"#, "[[null,1]]", ["/0/1 must be null, not a number"]),
  ]

  @Test(arguments: sentences)
  func `each keyword says what it wants`(schema: String, instance: String, expected: [String]) throws {
    #expect(try messages(schema, instance) == expected)
  }

  @Test func `a failure carries both pointers, escaped`() throws {
    let found = try failures(
      ##"{"properties":{"a/b":{"$ref":"#/$defs/x~1y"}},"$defs":{"x/y":{"items":{"type":"null"}}}}"##, #"{"a/b":[null,1]}"#)
    #expect(
      found == [
        SchemaFailure(
          instancePointer: "/a~1b/1", schemaPointer: "/$defs/x~1y/items/type", message: "/a~1b/1 must be null, not a number")
      ])
  }

  @Test func `branches that differ in type or in constants are one sentence`() throws {
    #expect(try messages(#"{"anyOf":[{"type":"string"},{"type":"null"}]}"#, "1") == ["/ must be a string or null"])
    #expect(try messages(#"{"oneOf":[{"const":"a"},{"enum":["b","c"]}]}"#, "1") == [#"/ must be one of "a", "b", "c""#])
  }

  @Test func `of several forms the closest one speaks`() throws {
    let schema = #"""
      {"oneOf":[
        {"properties":{"kind":{"const":"file"},"path":{"type":"string"}},"required":["kind","path"]},
        {"properties":{"kind":{"const":"url"},"url":{"type":"string"}},"required":["kind","url"]},
        {"type":"string"}
      ]}
      """#
    #expect(
      try messages(schema, #"{"kind":"url"}"#) == [
        #"/ fits none of the 3 allowed forms; the closest one says: "url" is required but missing at /"#
      ])
    #expect(
      try messages(#"{"oneOf":[{"minimum":1},{"maximum":5},{"type":"string"}]}"#, "3")
        == ["/ must fit exactly one of the 3 allowed forms, but fits number 1 and number 2"])
  }

  @Test func `all failures are reported, up to ten`() throws {
    let schema = #"{"properties":{"a":{"type":"string"},"b":{"minimum":5}},"required":["c"]}"#
    #expect(
      try messages(schema, #"{"a":1,"b":1}"#) == [
        #""c" is required but missing at /"#, "/a must be a string, not a number", "/b must be at least 5",
      ])
    let many = "[" + Array(repeating: "1", count: 50).joined(separator: ",") + "]"
    #expect(try messages(#"{"items":{"type":"string"}}"#, many) == (0..<10).map { "/\($0) must be a string, not a number" })
  }

  @Test func `no message shows a value of the instance`() throws {
    let schema = #"""
      {"properties":{"a":{"type":"integer"},"b":{"enum":["x"]},"c":{"const":1},"d":{"pattern":"^x$"},"e":{"format":"uuid"},
      "f":{"maxLength":1},"g":{"minimum":1e9},"h":{"not":true},"i":{"anyOf":[{"const":1},{"minLength":99}]},"j":{"uniqueItems":true}}}
      """#
    let instance = #"""
      {"a":"SECRET","b":"SECRET","c":"SECRET","d":"SECRET","e":"SECRET","f":"SECRET","g":77777,"h":"SECRET","i":"SECRET",
      "j":["SECRET","SECRET"]}
      """#
    let said = try messages(schema, instance)
    #expect(said.count == 10)
    #expect(said.filter { $0.contains("SECRET") || $0.contains("77777") } == [])
  }

  @Test func `long names and patterns are cut, and no name breaks a line`() throws {
    let name = String(repeating: "n", count: 5000)
    let said = try messages(#"{"additionalProperties":{"type":"string"}}"#, #"{"\#(name)":{"x":1}}"#)
    #expect(said.map { $0.utf8.count < 400 } == [true])
    #expect(
      try messages(#"{"items":false,"additionalProperties":{"type":"null"}}"#, #"{"a\nb":1}"#) == [#"/a\nb must be null, not a number"#])
    // One Swift character of ten thousand code points.
    let zalgo = "e" + String(repeating: "\u{301}", count: 10000)
    #expect(try messages(#"{"additionalProperties":false}"#, #"{"\#(zalgo)":1}"#).map { $0.utf8.count < 1000 } == [true])
  }
}
