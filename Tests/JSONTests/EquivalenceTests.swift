import JSON
import Testing

@Suite struct `Two texts of one value` {
  @Test(arguments: [
    ("1", " 1 "), ("{}", "{ }"), ("[]", "[ ]"), ("[1,[2,{}]]", "[ 1 , [ 2 , { } ] ]"),
    (#""a""#, #""\u0061""#), (#""\n""#, #""\u000a""#), (#""\/""#, #""/""#), (#""😀""#, #""\ud83d\ude00""#),
    (#""\ud800""#, #""\uD800""#),
    (#"{"a":1,"b":2}"#, #"{"b":2,"a":1}"#),
    (#"{"a":1,"b":2}"#, #"{"b":2,"\u0061":1}"#),
    (#"{"a":1,"b":0,"a":2}"#, #"{"b":0,"a":1,"a":2}"#),
    (#"{"o":{"x":[1,{"p":1,"q":[]}],"y":null},"s":"t"}"#, #"{"s":"\u0074","o":{"y":null,"x":[1,{"q":[],"p":1}]}}"#),
    (#"[{"a":{"b":1,"c":2}},{"d":3,"e":4}]"#, #"[{"a":{"c":2,"b":1}},{"e":4,"d":3}]"#),
    (#"{"":1,"a":2}"#, #"{"a":2,"":1}"#),
  ])
  func `are equivalent both ways`(a: String, b: String) throws {
    let (a, b) = (try value(a), try value(b))
    #expect(a.isEquivalent(to: b))
    #expect(b.isEquivalent(to: a))
    #expect(a.isEquivalent(to: a))
  }

  @Test(arguments: [
    ("1", "1.0"), ("1", "2"), ("-0", "0"), ("1e2", "1E2"), ("1", #""1""#), ("true", "false"), ("null", "false"), ("[]", "{}"),
    ("[]", "null"),
    ("[1]", "[1,2]"), ("[1,2]", "[2,1]"), ("[1]", "[[1]]"), ("{}", #"{"a":1}"#), (#"{"a":1}"#, #"{"a":1,"b":2}"#),
    (#""a""#, #""b""#), (#""\ud800""#, #""\ud801""#), (#""\ud800""#, #""�""#), (#""\u0000""#, #""""#), (#""e\u0301""#, #""\u00e9""#),
    (#"{"a":1,"a":2}"#, #"{"a":2,"a":1}"#), (#"{"a":1,"a":2}"#, #"{"a":1}"#), (#"{"a":1,"b":0,"a":2}"#, #"{"b":0,"a":2,"a":1}"#),
    (#"{"a":1,"b":2}"#, #"{"b":1,"a":2}"#), (#"{"a":1,"b":2}"#, #"{"b":2,"c":1}"#),
    (#"{"b":[{"x":1,"y":2}],"a":1}"#, #"{"a":1,"b":[{"y":2,"x":3}]}"#),
    (#"{"a":[],"b":1}"#, #"{"b":1,"a":{}}"#), (#"{"a":"","b":1}"#, #"{"b":1,"a":0}"#), (#"{"a":[1],"b":1}"#, #"{"b":1,"a":[1,1]}"#),
    ("{\"e\u{301}\":1,\"b\":1}", "{\"b\":1,\"\u{E9}\":1}"),
  ])
  func `differ both ways`(a: String, b: String) throws {
    let (a, b) = (try value(a), try value(b))
    #expect(!a.isEquivalent(to: b))
    #expect(!b.isEquivalent(to: a))
  }

  @Test func `large objects in another order take no quadratic time`() throws {
    let members = (0..<200_000).map { "\"name-\($0)\":[\($0)]" }
    let forward = try value("{" + members.joined(separator: ",") + "}")
    let backward = try value("{" + members.reversed().joined(separator: ",") + "}")
    #expect(forward.isEquivalent(to: backward))
    #expect(!forward.isEquivalent(to: try value("{" + members.dropLast().reversed().joined(separator: ",") + ",\"name-199999\":[0]}")))
  }

  @Test func `reordered members at every level are compared without reading each level again`() throws {
    func nest(_ open: String, _ close: String) -> String {
      String(repeating: open, count: 1000) + "\"" + String(repeating: "x", count: 1_000_000) + "\"" + String(repeating: close, count: 1000)
    }
    let limits = JSONLimits(maxDepth: 1024)
    let a = try CarriedJSON(validating: Bytes(nest(#"{"a":1,"b":"#, "}")), limits: limits)
    let b = try CarriedJSON(validating: Bytes(nest(#"{"b":"#, #","a":1}"#)), limits: limits)
    #expect(a.isEquivalent(to: b))
  }
}
