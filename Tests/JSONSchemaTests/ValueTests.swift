import JSON
import JSONSchema
import Testing

@Suite struct ValueTests {
  @Test func `strings are equal by code points, not by how they look`() throws {
    // A composed and a decomposed é, and K and the Kelvin sign: equal to Swift's String.
    #expect(try accepts(#"{"const":"\u00e9"}"#, #""e\u0301""#) == false)
    #expect(try accepts(#"{"enum":["K"]}"#, #""\u212a""#) == false)
    #expect(try accepts(#"{"uniqueItems":true}"#, #"["\u00e9","e\u0301"]"#))
    #expect(try accepts(#"{"properties":{"\u00e9":false}}"#, #"{"e\u0301":1}"#))
    #expect(try accepts(#"{"required":["\u00e9"]}"#, #"{"e\u0301":1}"#) == false)
    #expect(try accepts(#"{"const":"\u00e9"}"#, "\"\u{e9}\""))
  }

  @Test func `lone surrogates are equal only to themselves`() throws {
    #expect(try accepts(#"{"enum":["\ud800"]}"#, #""\ud801""#) == false)
    #expect(try accepts(#"{"enum":["\ufffd"]}"#, #""\ud801""#) == false)
    #expect(try accepts(#"{"const":"\ud801"}"#, #""\ufffd""#) == false)
    #expect(try accepts(#"{"const":"a\ud801\ud83d\ude00"}"#, "\"\\u0061\\uD801\u{1F600}\""))
    #expect(try accepts(#"{"const":"\ufffd"}"#, "\"\u{FFFD}\""))
    #expect(try accepts(#"{"uniqueItems":true}"#, #"["\ud800","\udfff","\ufffd"]"#))
    #expect(try accepts(#"{"uniqueItems":true}"#, #"["\ud800","\uD800"]"#) == false)
    #expect(try accepts(#"{"properties":{"\ud800":{"type":"null"}},"additionalProperties":false}"#, #"{"\ud800":null}"#))
    #expect(try accepts(#"{"properties":{"\ud800":{"type":"null"}}}"#, #"{"\ud800":null,"\ud801":2}"#))
    #expect(try accepts(#"{"minLength":1,"maxLength":1,"pattern":"^.$"}"#, #""\ud800""#))
  }

  @Test(arguments: [
    ("\u{301}x", "\u{301}x"), ("\u{301}/\u{301}", "\u{301}~1\u{301}"), ("\u{301}~\u{301}", "\u{301}~0\u{301}"), ("~\u{301}", "~0\u{301}"),
  ])
  func `a reference to a name with combining marks leads there`(name: String, token: String) throws {
    for reference in ["#/$defs/" + token, "http://e.x/r#/$defs/" + token] {
      #expect(
        try messages(##"{"$id":"http://e.x/r","$defs":{"\##(name)":{"type":"string"}},"$ref":"\##(reference)"}"##, "1")
          == ["/ must be a string, not a number"])
    }
  }

  @Test func `lengths count code points`() throws {
    #expect(try accepts(#"{"maxLength":1}"#, #""\ud83d\ude00""#))
    #expect(try accepts(#"{"minLength":2}"#, #""\ud83d\ude00""#) == false)
    // A family of seven code points, one character of Swift.
    #expect(try accepts(#"{"minLength":7,"maxLength":7}"#, "\"👨‍👩‍👧‍👦\""))
    #expect(try accepts(#"{"minLength":3}"#, #""\u0000\n\\""#))
  }

  @Test func `objects are equal whatever the order of their members`() throws {
    #expect(try accepts(#"{"const":{"a":1,"b":[{"c":2,"d":3}]}}"#, #"{"b":[{"d":3.0,"c":2}],"a":1}"#))
    #expect(try accepts(#"{"uniqueItems":true}"#, #"[{"a":1,"b":2},{"b":2,"a":1}]"#) == false)
    #expect(try accepts(#"{"uniqueItems":true}"#, #"[{"a":1,"b":2},{"b":1,"a":2},1,true,"1",null,[],{},0,false,""]"#))
  }

  @Test func `a member name that is there twice makes an instance invalid`() throws {
    #expect(
      try failures("true", #"{"a":[{"x":1,"y":2,"x":3}]}"#) == [
        SchemaFailure(instancePointer: "/a/0", schemaPointer: "", message: #""x" is there twice at /a/0"#)
      ])
    let many = (0..<20).map { #""k\#($0)":1"# }.joined(separator: ",")
    #expect(try messages("true", #"{\#(many),"k7":2}"#) == [#""k7" is there twice at /"#])
  }

  @Test func `an instance that is nested too deeply is a failure`() throws {
    let deep = String(repeating: "[", count: 600) + String(repeating: "]", count: 600)
    let instance = try CarriedJSON(validating: Bytes(deep), limits: JSONLimits(maxDepth: 1000))
    #expect(try compile("true").failures(of: instance).map(\.message) == ["/ is nested deeper than 512 levels"])
  }

  @Test func `white space and escapes in an instance change nothing`() throws {
    let schema = #"{"properties":{"a b":{"items":{"enum":[1,"x\ny"]}}},"required":["a b"],"additionalProperties":false}"#
    #expect(try accepts(schema, "\n{ \"a\\u0020b\"\t:\r\n[ 1 ,\n\"x\\ny\" , 10e-1 ] }\n"))
  }
}
