import JSON
import JSONSchema
import Testing

@Suite struct HostileSchemaTests {
  static let refused: [(schema: String, code: SchemaError.Code, pointer: String)] = [
    ("1", .invalidSchema, ""),
    (#""string""#, .invalidSchema, ""),
    ("[]", .invalidSchema, ""),
    ("null", .invalidSchema, ""),
    (#"{"properties":{"a":{"type":"strnig"}}}"#, .invalidSchema, "/properties/a/type"),
    (#"{"type":[]}"#, .invalidSchema, "/type"),
    (#"{"type":1}"#, .invalidSchema, "/type"),
    (#"{"properties":{"a":5}}"#, .invalidSchema, "/properties/a"),
    (#"{"properties":[]}"#, .invalidSchema, "/properties"),
    (#"{"allOf":{}}"#, .invalidSchema, "/allOf"),
    (#"{"anyOf":[]}"#, .invalidSchema, "/anyOf"),
    (#"{"items":[{"not":7}]}"#, .invalidSchema, "/items/0/not"),
    (#"{"required":"a"}"#, .invalidSchema, "/required"),
    (#"{"required":["a",1]}"#, .invalidSchema, "/required/1"),
    (#"{"properties":{"a":{"required":true}}}"#, .invalidSchema, "/properties/a/required"),
    (#"{"dependentRequired":{"a/b":"c"}}"#, .invalidSchema, "/dependentRequired/a~1b"),
    (#"{"enum":"a"}"#, .invalidSchema, "/enum"),
    (#"{"minimum":"1"}"#, .invalidSchema, "/minimum"),
    (#"{"exclusiveMinimum":true,"minimum":1}"#, .invalidSchema, "/exclusiveMinimum"),
    (#"{"multipleOf":0}"#, .invalidSchema, "/multipleOf"),
    (#"{"multipleOf":-1}"#, .invalidSchema, "/multipleOf"),
    (#"{"multipleOf":1.234567890123456789}"#, .invalidSchema, "/multipleOf"),
    (#"{"minLength":-1}"#, .invalidSchema, "/minLength"),
    (#"{"maxItems":1.5}"#, .invalidSchema, "/maxItems"),
    (#"{"maxContains":"1"}"#, .invalidSchema, "/maxContains"),
    (#"{"minContains":1,"contains":true,"maxContains":-2}"#, .invalidSchema, "/maxContains"),
    (#"{"uniqueItems":1}"#, .invalidSchema, "/uniqueItems"),
    (#"{"nullable":"yes"}"#, .invalidSchema, "/nullable"),
    (#"{"format":1}"#, .invalidSchema, "/format"),
    (#"{"prefixItems":[true],"items":[true]}"#, .invalidSchema, "/items"),
    (#"{"$ref":1}"#, .invalidSchema, "/$ref"),
    (#"{"$id":1}"#, .invalidSchema, "/$id"),
    (##"{"$id":"#a"}"##, .invalidSchema, "/$id"),
    (#"{"$anchor":"a b"}"#, .invalidSchema, "/$anchor"),
    (#"{"$defs":{"a":{"$anchor":"x"},"b":{"$anchor":"x"}}}"#, .invalidSchema, "/$defs/b/$anchor"),
    (#"{"$defs":{"a":{"$id":"x"},"b":{"$id":"x"}}}"#, .invalidSchema, "/$defs/b/$id"),
    (#"{"type":"string","type":"number"}"#, .invalidSchema, ""),
    (#"{"properties":{"a":{"typo":1}}}"#, .unknownKeyword, "/properties/a/typo"),
    (#"{"id":"old"}"#, .unknownKeyword, "/id"),
    (#"{"$recursiveRef":"a"}"#, .unknownKeyword, "/$recursiveRef"),
    (#"{"divisibleBy":2}"#, .unknownKeyword, "/divisibleBy"),
    (#"{"$schema":"http://json-schema.org/draft-03/schema#"}"#, .unknownDialect, "/$schema"),
    (#"{"$schema":"https://example.com/mine"}"#, .unknownDialect, "/$schema"),
    (##"{"$ref":"#/$defs/none"}"##, .unresolvedReference, "/$ref"),
    (##"{"$ref":"#none"}"##, .unresolvedReference, "/$ref"),
    (##"{"$ref":"#/a~2b"}"##, .unresolvedReference, "/$ref"),
    (##"{"$ref":"#/%zz"}"##, .unresolvedReference, "/$ref"),
    (##"{"allOf":[true],"items":{"$ref":"#/allOf/00"}}"##, .unresolvedReference, "/items/$ref"),
    (#"{"$ref":"https://example.com/a.json"}"#, .unresolvedReference, "/$ref"),
    (#"{"$dynamicRef":"other.json"}"#, .unresolvedReference, "/$dynamicRef"),
    (##"{"$ref":"#/properties","properties":{"a":true}}"##, .unknownKeyword, "/properties/a"),
    (##"{"$ref":"#"}"##, .referenceLoop, ""),
    (##"{"allOf":[{"$ref":"#"}]}"##, .referenceLoop, "/allOf/0"),
    (
      ##"{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"anyOf":[true,{"$ref":"#/$defs/a"}]}}}"##, .referenceLoop,
      "/$defs/b/anyOf/1"
    ),
    (##"{"if":{"not":{"$ref":"#"}},"then":true}"##, .referenceLoop, "/if/not"),
    (##"{"dependentSchemas":{"a":{"$ref":"#"}}}"##, .referenceLoop, "/dependentSchemas/a"),
    (##"{"$dynamicAnchor":"x","allOf":[{"$dynamicRef":"#x"}]}"##, .referenceLoop, "/allOf/0"),
    (#"{"properties":{"a":{"pattern":"("}}}"#, .invalidPattern, "/properties/a/pattern"),
    (#"{"patternProperties":{"a/[":true}}"#, .invalidPattern, "/patternProperties/a~1["),
  ]

  @Test(arguments: refused)
  func `a schema that cannot be meant is refused with its place`(schema: String, code: SchemaError.Code, pointer: String) throws {
    let error = try #require(try refusal(schema), "accepted")
    #expect([error.code] == [code], "\(error)")
    #expect(error.pointer == pointer)
    #expect(!error.message.isEmpty)
  }

  @Test func `a refused reference is named`() throws {
    #expect(
      try refusal(#"{"$ref":"https://example.com/a.json#/x"}"#)?.description
        == #"/$ref: $ref "https://example.com/a.json#/x" leads to another document, and none is fetched"#)
    #expect(
      try refusal(##"{"properties":{"a":{"allOf":[{"$ref":"#/properties/a"}]}}}"##)?.description
        == "/properties/a/allOf/0: leads back to /properties/a without looking into the value")
  }

  @Test func `depth and size bombs are refused`() throws {
    let deep = String(repeating: #"{"not":"#, count: 127) + "true" + String(repeating: "}", count: 127)
    #expect(try refusal(deep) == nil)
    #expect(try refusal(#"{"not":\#(deep)}"#)?.code == .tooLarge)
    let wide = (0..<19_998).map { #""p\#($0)":{}"# }.joined(separator: ",")
    #expect(try refusal(#"{"properties":{\#(wide)}}"#) == nil)
    #expect(try refusal(#"{"properties":{\#(wide),"q":{},"r":{}}}"#)?.code == .tooLarge)
    let values = "[" + Array(repeating: "0", count: 500_001).joined(separator: ",") + "]"
    #expect(try refusal(#"{"enum":\#(values)}"#)?.code == .tooLarge)
    let nested = String(repeating: "[", count: 600) + String(repeating: "]", count: 600)
    let bomb = try CarriedJSON(validating: Bytes(#"{"const":\#(nested)}"#), limits: JSONLimits(maxDepth: 1000))
    #expect(throws: SchemaError(.tooLarge, at: "", "the schema is nested deeper than 512 levels")) { try JSONSchema(compiling: bomb) }
  }

  @Test func `patterns and names that grow when they are compiled are refused`() throws {
    let patterns = (0..<600).map { #""(?:(?:ab|c){30}){30}\#($0)":{}"# }.joined(separator: ",")
    #expect(try refusal(#"{"patternProperties":{\#(patterns)}}"#)?.code == .tooLarge)
    let long = String(repeating: "u", count: 5000)
    #expect(try refusal(#"{"$id":"\#(long)"}"#)?.code == .tooLarge)
    #expect(try refusal(##"{"$ref":"#/\##(long)"}"##)?.code == .tooLarge)
    let nested = (0..<100).reduce("{}") { inner, _ in #"{"$id":"\#(long.prefix(200))/","not":\#(inner)}"# }
    #expect(try refusal(nested)?.code == .tooLarge)
  }

  @Test func `a chain of references as long as a schema may be is refused without falling over`() throws {
    let chain = (0..<19_000).map { ##""d\##($0)":{"$ref":"#/$defs/d\##($0 + 1)"}"## }.joined(separator: ",")
    #expect(try refusal(##"{"$ref":"#/$defs/d0","$defs":{\##(chain),"d19000":{}}}"##)?.code == .tooLarge)
    let loop = (0..<19_000).map { ##""d\##($0)":{"$ref":"#/$defs/d\##(($0 + 1) % 19_000)"}"## }.joined(separator: ",")
    #expect(try refusal(##"{"$ref":"#/$defs/d0","$defs":{\##(loop)}}"##)?.code == .referenceLoop)
  }
}
