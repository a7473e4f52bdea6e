import JSON
import Testing

@Suite struct `What stands outside carried places` {
  private func refusal(_ text: String, _ paths: CarriedPaths = .none, nodes: Int = 1000, at pointer: String = "") throws -> String? {
    let value = try value(text)
    return failure { () throws(JSONError) in
      try value.check(carrying: paths, limits: JSONLimits(maxNodes: nodes), at: pointer)
    }.map { "\($0.code) \($0.pointer ?? "-")" }
  }

  @Test(arguments: [
    (#"{"a":1,"a":2}"#, "duplicateKey /a"),
    (#"{"a":1,"b":{"x":[0,{"y":1,"z":2,"y":3}]}}"#, "duplicateKey /b/x/1/y"),
    (#"{"a":1,"\u0061":2}"#, "duplicateKey /a"),
    (#"{"\ud83d\ude00":1,"😀":2}"#, "duplicateKey /😀"),
    (#"{"a/b~":1,"a\/b~":2}"#, "duplicateKey /a~1b~0"),
    (#"{"\u0000":1,"\u0000":2}"#, "duplicateKey /\u{0}"),
    (#"{"\ud800":1,"\uD800":2}"#, "duplicateKey /\u{FFFD}"),
    (#"{"":1,"":2}"#, "duplicateKey /"),
    (#" [ { "a" : 1 , "a" : 2 } ] "#, "duplicateKey /0/a"),
    (#"{"12345678x":1,"12345678y":2,"12345678x":3}"#, "duplicateKey /12345678x"),
  ])
  func `a name that an object has twice is refused with the pointer of the second`(text: String, expected: String) throws {
    #expect(try refusal(text) == expected)
    #expect(try value(text).firstDuplicateMember() == String(expected.dropFirst("duplicateKey ".count)))
  }

  @Test(arguments: [
    #"{"a":1,"b":2,"c":{"a":1,"b":2},"d":[{"a":1},{"a":1}]}"#,
    #"{"\ud800":1,"\ud801":2,"�":3}"#,
    #"{"\u0000":1,"\u0000\u0000":2,"":3}"#,
    #"{"e\u0301":1,"\u00e9":2}"#,
    #"{"12345678":1,"123456789":2,"1234567":3}"#,
    "[]", "{}", "1", #""a""#, "[[],{},[{}]]",
  ])
  func `names that differ are not taken for one`(text: String) throws {
    #expect(try refusal(text) == nil)
    #expect(try value(text).firstDuplicateMember() == nil)
  }

  @Test(arguments: [3, 12, 13, 14, 64, 65, 5000], [false, true])
  func `a repeated name is found among many, escaped or not`(count: Int, escaped: Bool) throws {
    let names = (0..<count).map { escaped ? "n\\u00e4me-\($0)" : "näme-\($0)" }
    let members = names.map { "\"\($0)\":{\"in\":[]}" }.joined(separator: ",")
    #expect(try refusal("{\(members)}", nodes: 100_000) == nil)
    for again in [0, count / 2, count - 1] {
      #expect(try refusal("{\(members),\"näme-\(again)\":0}", nodes: 100_000) == "duplicateKey /näme-\(again)")
    }
  }

  @Test func `names of closed and of outer objects do not count`() throws {
    let inner = "{" + (0..<40).map { "\"k\($0)\":0" }.joined(separator: ",") + "}"
    let members = (0..<40).map { "\"k\($0)\":\(inner)" }.joined(separator: ",")
    #expect(try refusal("{\(members)}", nodes: 100_000) == nil)
    #expect(try refusal("{\(members),\"k39\":1}", nodes: 100_000) == "duplicateKey /k39")
  }

  @Test func `what is carried may repeat names`() throws {
    let text = #"{"tools":[{"inputSchema":{"a":1,"a":2},"name":"x"}],"metadata":{"m":1,"m":2}}"#
    #expect(try refusal(text, ["/tools/*/inputSchema", "/metadata"]) == nil)
    #expect(try refusal(text, ["/tools/*/inputSchema"]) == "duplicateKey /metadata/m")
    #expect(try refusal(text, ["/metadata"]) == "duplicateKey /tools/0/inputSchema/a")
    #expect(try refusal(text, ["/tools/1/inputSchema", "/metadata"]) == "duplicateKey /tools/0/inputSchema/a")
    #expect(try refusal(text, ["/*"]) == nil)
    #expect(try refusal(text, .everything) == nil)
    #expect(try refusal(text, [""]) == nil)
    #expect(try refusal(text, CarriedPaths(["/tools/0/*"]).union(["/metadata"])) == nil)
    #expect(try refusal(#"{"params":\#(text)}"#, CarriedPaths(["/tools/*/inputSchema", "/metadata"]).nested(under: "/params")) == nil)
    #expect(try refusal(#"[\#(text)]"#, CarriedPaths(["/tools/*/inputSchema", "/metadata"]).nested(under: "/*"), at: "/at") == nil)
    #expect(try refusal(text, .none, at: "/params") == "duplicateKey /params/tools/0/inputSchema/a")
  }

  @Test func `a star and a name beside it both apply`() throws {
    let paths: CarriedPaths = ["/*/a", "/x/b", "/~1~0/c"]
    #expect(try refusal(#"{"x":{"a":{"d":1,"d":2},"b":{"d":1,"d":2}}}"#, paths) == nil)
    #expect(try refusal(#"{"y":{"a":{"d":1,"d":2},"b":{"d":1,"d":2}}}"#, paths) == "duplicateKey /y/b/d")
    #expect(try refusal(#"{"/~":{"a":{"d":1,"d":2},"c":{"d":1,"d":2}}}"#, paths) == nil)
    #expect(try refusal(#"{"\u0078":{"b":{"d":1,"d":2}}}"#, paths) == nil)
  }

  @Test func `values outside carried places are counted, containers too`() throws {
    let text = #"{"a":[1,2,{"b":null}],"c":[1,2,3]}"#
    #expect(try refusal(text, nodes: 10) == nil)
    #expect(try refusal(text, nodes: 9) == "tooManyNodes /c/2")
    #expect(try refusal(text, ["/c"], nodes: 6) == nil)
    #expect(try refusal(text, ["/c"], nodes: 5) == "tooManyNodes /a/2/b")
    #expect(try refusal(text, .everything, nodes: 0) == nil)
    #expect(try refusal("1", nodes: 0) == "tooManyNodes ")
  }

  @Test func `a bomb of elements is refused and a carried one is not`() throws {
    let bomb = "[" + String(repeating: "[],", count: 1_500_000) + "[]]"
    #expect(try refusal(bomb, nodes: 1_000_000) == "tooManyNodes /999999")
    #expect(try refusal(bomb, .everything) == nil)
  }
}
