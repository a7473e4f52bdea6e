import JSON
import JSONSchema
import Testing

@Suite struct DialectTests {
  @Test func `OpenAPI's nullable adds null to the type beside it`() throws {
    #expect(try accepts(#"{"type":"string","nullable":true}"#, "null"))
    #expect(try accepts(#"{"type":"string","nullable":false}"#, "null") == false)
    #expect(try accepts(#"{"type":"string","enum":["a"],"nullable":true}"#, "null") == false)
    #expect(try accepts(#"{"nullable":true,"minimum":1}"#, "0") == false)
  }

  @Test func `annotations mean nothing, whatever they hold`() throws {
    let schema = #"""
      {"title":1,"description":[],"default":{},"examples":[1],"deprecated":true,"readOnly":true,"writeOnly":true,"$comment":"c","example":1,
      "externalDocs":{},"xml":{},"discriminator":{"propertyName":"x"},"x-order":{"any":"thing"},"contentEncoding":"base64",
      "contentMediaType":"text/plain","contentSchema":{"type":"null"},"format":"made-up","enumNames":["a"],"markdownDescription":"m"}
      """#
    #expect(try accepts(schema, #""anything""#))
  }

  @Test func `idioms of draft-07 are understood without a $schema`() throws {
    let tuple = #"{"items":[{"type":"string"}],"additionalItems":{"type":"integer"}}"#
    #expect(try accepts(tuple, #"["a",1,2]"#))
    #expect(try messages(tuple, #"["a",1,"b"]"#) == ["/2 must be an integer, not a string"])
    #expect(try accepts(#"{"items":{"type":"string"},"additionalItems":false}"#, #"["a","b"]"#))
    let dependencies = #"{"dependencies":{"a":["b"],"c":{"required":["d"]}}}"#
    #expect(try accepts(dependencies, #"{"a":1,"b":2,"c":3,"d":4}"#))
    #expect(
      try messages(dependencies, #"{"a":1,"c":1}"#) == [
        #""b" is required at / because "a" is there"#, #""d" is required but missing at /"#,
      ])
    #expect(try accepts(##"{"definitions":{"x":{"type":"null"}},"items":{"$ref":"#/definitions/x"}}"##, "[1]") == false)
  }

  @Test func `formats are asserted, or not, as the caller says`() throws {
    for format in ["date-time", "date", "time", "email", "hostname", "ipv4", "ipv6", "uri", "uuid"] {
      let schema = #"{"format":"\#(format)"}"#
      #expect(try compile(schema).failures(of: json(#""?""#)).count == 1)
      #expect(try compile(schema, assertFormats: false).failures(of: json(#""?""#)) == [])
      #expect(try compile(schema).failures(of: json("5")) == [])
    }
    for format in ["regex", "json-pointer", "uri-template", "password", "int64"] {
      #expect(try accepts(#"{"format":"\#(format)"}"#, #""?""#))
    }
  }

  @Test func `documents that come with the schema are found, and only when something leads to them`() throws {
    let documents = [
      "https://example.com/types.json": ##"{"$defs":{"id":{"type":"integer"},"pair":{"items":{"$ref":"#/$defs/id"},"minItems":2}}}"##,
      "https://example.com/bad.json": #"{"nonsense":1}"#,
    ]
    let schema = try compile(#"{"items":{"$ref":"https://example.com/types.json#/$defs/pair"}}"#, documents: documents)
    #expect(
      try schema.failures(of: json(#"[[1,"x"]]"#)) == [
        SchemaFailure(
          instancePointer: "/0/1", schemaPointer: "https://example.com/types.json#/$defs/id/type",
          message: "/0/1 must be an integer, not a string")
      ])
    #expect(
      try refusal(#"{"$ref":"https://example.com/bad.json"}"#, documents: documents)
        == SchemaError(
          .unknownKeyword, at: "https://example.com/bad.json#/nonsense",
          #"the keyword "nonsense" is not known and would be ignored"#))
  }

  @Test func `recursion through the instance is fine`() throws {
    let tree = ##"{"type":"object","properties":{"children":{"items":{"$ref":"#"}}},"additionalProperties":false}"##
    #expect(try accepts(tree, #"{"children":[{"children":[]},{}]}"#))
    #expect(
      try messages(tree, #"{"children":[{"children":[{"x":1}]}]}"#) == [#""x" is not allowed at /children/0/children/0, only "children""#])
  }
}
