import JSON
import Testing

private struct Agent: Codable, Equatable {
  enum Mode: String, Codable { case fast, careful }

  struct Tool: Codable, Equatable {
    var name: String
    var inputSchema: CarriedJSON?
    var timeoutMilliseconds: Int?
  }

  var name: String
  var mode: Mode
  var tools: [Tool]
  var limits: [String: Int]?
  var temperature: Double?
  var strict: Bool?
  var state: CarriedJSON?
}

@Suite struct `Decoding` {
  private let carried: CarriedPaths = ["/tools/*/inputSchema", "/state"]

  private func decode<T: Decodable>(
    _ type: T.Type, _ text: String, _ paths: CarriedPaths = .none, limits: JSONLimits = JSONLimits(), at pointer: String = ""
  ) throws(JSONError) -> T {
    try JSONCoding.decode(type, from: CarriedJSON(validating: Bytes(text)), carrying: paths, limits: limits, at: pointer)
  }

  private func refusal<T: Decodable>(_ type: T.Type, _ text: String, _ paths: CarriedPaths = .none, at pointer: String = "") -> String? {
    failure { () throws(JSONError) in _ = try decode(type, text, paths, at: pointer) }?.summary
  }

  @Test func `a value with nested types, optionals and carried members comes whole`() throws {
    let text = #"""
      { "mode": "careful", "unknown": [1], "name": "n\u00e4me \ud83d\ude00",
        "tools": [ {"name":"a", "inputSchema": {"b":0.10, "a" : 1, "b":2}}, {"name":"b","timeoutMilliseconds":5, "inputSchema":null} ],
        "limits": {"turns": 3.0, "tokens": 1e3}, "temperature": 0.1, "strict": true, "state": [ 1E400 ] }
      """#
    let expected = Agent(
      name: "näme 😀", mode: .careful,
      tools: [
        .init(name: "a", inputSchema: try value(#"{"b":0.10, "a" : 1, "b":2}"#), timeoutMilliseconds: nil),
        .init(name: "b", inputSchema: nil, timeoutMilliseconds: 5),
      ],
      limits: ["turns": 3, "tokens": 1000], temperature: 0.1, strict: true, state: try value("[ 1E400 ]"))
    #expect(try decode(Agent.self, text, carried) == expected)
  }

  @Test func `a carried value that no pattern names has its exact bytes as well`() throws {
    let text =
      #"{"name":"a","mode":"fast","tools":[{"name":"t","inputSchema":{"\u0061" : [1.0, "\/"]}},{"name":"u","inputSchema":7}],"state":"\u0041"}"#
    let agent = try decode(Agent.self, text)
    #expect(agent.tools.map(\.inputSchema) == [try value(#"{"\u0061" : [1.0, "\/"]}"#), try value("7")])
    #expect(agent.state == (try value(#""\u0041""#)))
    #expect(try decode([CarriedJSON].self, #"[ 1.0 , "\u0041", {"a" :1} ]"#) == [value("1.0"), value(#""\u0041""#), value(#"{"a" :1}"#)])
    #expect(try decode(CarriedJSON.self, " [1 ] ") == value("[1 ]"))
  }

  @Test func `carried values without a pattern are told apart where their names are one string`() throws {
    struct Key: CodingKey {
      let stringValue: String
      var intValue: Int? { nil }
      init(stringValue: String) { self.stringValue = stringValue }
      init?(intValue: Int) { nil }
    }
    struct Holder: Decodable {
      let values: [CarriedJSON]
      init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: Key.self)
        values = try ["\u{E9}", "e\u{301}", "\u{FFFD}", "n", "t"].map { try members.decode(CarriedJSON.self, forKey: Key(stringValue: $0)) }
      }
    }
    let text = #"{"\ud800":0,"e\u0301":[1.0],"\u00e9":[2],"\ufffd":"\u0041","n":null,"t":true,"x":{}}"#
    let expected = try ["[2]", "[1.0]", #""\u0041""#, "null", "true"].map { try value($0) }
    #expect(try decode(Holder.self, text).values == expected)
    #expect(try decode([Holder].self, "[\(text)]", ["/*"]).map(\.values) == [expected])
  }

  @Test func `a type that reads a carried place gets the same value, with its names checked`() throws {
    struct Holder: Decodable, Equatable {
      var metadata: [String: String]
      var count: Int
      var flag: Bool
      var none: Int?
    }
    let text = #"{"metadata":{"a":"1","b":"\u0000"},"count":3,"flag":true,"none":null}"#
    #expect(try decode(Holder.self, text, ["/*"]) == Holder(metadata: ["a": "1", "b": "\0"], count: 3, flag: true, none: nil))
    #expect(
      refusal(Holder.self, #"{"metadata":{"a":"1","a":"2"},"count":3}"#, ["/*"], at: "/p")
        == "duplicateKey /p/metadata/a a member name is there twice")
    #expect(refusal(Holder.self, #"{"metadata":{"a":1},"count":3}"#, ["/*"], at: "/p") == "typeMismatch /p/metadata/a must be a string")
  }

  @Test(arguments: [
    (#"{"mode":"fast","tools":[]}"#, "missingMember /p/name is required"),
    (#"{"name":null,"mode":"fast","tools":[]}"#, "typeMismatch /p/name must be a string"),
    (#"{"name":1.5,"mode":"fast","tools":[]}"#, "typeMismatch /p/name must be a string"),
    (#"{"name":"a","mode":"slow","tools":[]}"#, "invalidValue /p/mode has a value that is not allowed"),
    (#"{"name":"a","mode":1,"tools":[]}"#, "typeMismatch /p/mode must be a string"),
    (#"{"name":"a","mode":"fast","tools":{}}"#, "typeMismatch /p/tools must be an array"),
    (#"{"name":"a","mode":"fast","tools":[{"name":"x"},[]]}"#, "typeMismatch /p/tools/1 must be an object"),
    (#"{"name":"a","mode":"fast","tools":[{"name":"x"},{}]}"#, "missingMember /p/tools/1/name is required"),
    (
      #"{"name":"a","mode":"fast","tools":[{"name":"x","timeoutMilliseconds":"5"}]}"#,
      "typeMismatch /p/tools/0/timeoutMilliseconds must be an integer"
    ),
    (
      #"{"name":"a","mode":"fast","tools":[{"name":"x","timeoutMilliseconds":5.5}]}"#,
      "typeMismatch /p/tools/0/timeoutMilliseconds must be an integer"
    ),
    (
      #"{"name":"a","mode":"fast","tools":[{"name":"x","timeoutMilliseconds":1e30}]}"#,
      "invalidValue /p/tools/0/timeoutMilliseconds is out of range"
    ),
    (#"{"name":"a","mode":"fast","tools":[],"strict":0}"#, "typeMismatch /p/strict must be true or false"),
    (#"{"name":"a","mode":"fast","tools":[],"temperature":"0"}"#, "typeMismatch /p/temperature must be a number"),
    (#"{"name":"a","mode":"fast","tools":[],"temperature":1e400}"#, "invalidValue /p/temperature is out of range"),
    (#"{"name":"a","mode":"fast","tools":[],"limits":{"a/b":"x"}}"#, "typeMismatch /p/limits/a~1b must be an integer"),
    (#"{"name":"a","name":"b","mode":"fast","tools":[]}"#, "duplicateKey /p/name a member name is there twice"),
    ("[]", "typeMismatch /p must be an object"), ("null", "typeMismatch /p must be an object"),
    (#""""#, "typeMismatch /p must be an object"),
    ("1.5", "typeMismatch /p must be an object"),
  ])
  func `names the wrong or missing member by its pointer`(text: String, expected: String) {
    #expect(refusal(Agent.self, text, carried, at: "/p") == expected)
  }

  @Test func `an Int is no larger than all readers of JSON agree about`() throws {
    #expect(
      try decode([Int].self, "[9007199254740991,-9007199254740991,9007199254740991.0]") == [
        9_007_199_254_740_991, -9_007_199_254_740_991, 9_007_199_254_740_991,
      ])
    for text in ["9007199254740992", "-9007199254740992", "9223372036854775807", "-9223372036854775808", "9.007199254740992e15"] {
      #expect(refusal(Int.self, text) == "invalidValue  is out of range: an integer is at most 9007199254740991")
      #expect(refusal([Int].self, "[\(text)]") == "invalidValue /0 is out of range: an integer is at most 9007199254740991")
      #expect(CarriedJSON(trusted: Bytes(text)).intValue == nil)
    }
    #expect(CarriedJSON(trusted: Bytes("-9007199254740991")).intValue == -9_007_199_254_740_991)
  }

  @Test func `integers are exact up to the ends of their type`() throws {
    #expect(try decode(Int64.self, "9223372036854775807") == .max)
    #expect(try decode(Int64.self, "-9223372036854775808") == .min)
    #expect(try decode(UInt64.self, "18446744073709551615") == .max)
    #expect(try decode([Int8].self, "[-128,127,1e2,-12.70e1]") == [-128, 127, 100, -127])
    #expect(
      try decode([Int64].self, "[0,-0,0e99999999999999999999,0.000,100e-2,12.50e1,9223372036854775807.0,0.1e1]") == [
        0, 0, 0, 0, 1, 125, .max, 1,
      ])
    for text in ["9223372036854775808", "-9223372036854775809", "1e19", "1e99999999999999999999", "123456789012345678901234567890"] {
      #expect(refusal(Int.self, text) == "invalidValue  is out of range")
    }
    for text in ["0.5", "1e-1", "1e-99999999999999999999", "100e-3", "9223372036854775807.5"] {
      #expect(refusal(Int.self, text) == "typeMismatch  must be an integer")
    }
    #expect(refusal(UInt8.self, "256") == "invalidValue  is out of range")
    #expect(refusal(UInt.self, "-1") == "invalidValue  is out of range")
    #expect(try decode(UInt.self, "-0") == 0)
  }

  @Test func `real numbers are read from their exact text`() throws {
    let texts = ["0.1", "1", "-0", "-0.0", "1e400", "5e-324", "1e-400", "18446744073709551615", "0.30000000000000004"]
    let read = texts.map { text in try? decode(Double.self, text) }
    #expect(
      read.map { $0?.bitPattern }
        == [0.1, 1, -0.0, -0.0, nil, Double.leastNonzeroMagnitude, 0, 0x1p64, 0.30000000000000004].map { $0?.bitPattern })
    #expect(try decode(Float.self, "0.1") == 0.1)
  }

  @Test func `strings that jansson cannot hold or that look like a placeholder come as they are`() throws {
    let long = String(repeating: "ä\"\\", count: 100)
    let texts = ["", "\u{0}", "a\u{0}b", "\u{1}", "\u{1}s0", "\u{1}c0", "\u{FFFD}", "😀", long, "\\u0001", "\u{7F}"]
    let encoded = try JSONCoding.encode(texts)
    #expect(try JSONCoding.decode([String].self, from: encoded) == texts)
    #expect(
      try decode([String].self, #"["\ud800","a\uDC00b","\u0001n0","\\u0000", "\ud83d\ude00"]"#) == [
        "\u{FFFD}", "a\u{FFFD}b", "\u{1}n0", "\\u0000", "😀",
      ])
  }

  @Test func `names that jansson cannot hold or that look like a placeholder are found`() throws {
    let names = ["", "\u{0}", "a\u{0}b", "\u{1}", "\u{1}k0", "\u{1}k1", "\u{FFFD}", "😀", "ä", String(repeating: "n", count: 5000)]
    let values = Dictionary(uniqueKeysWithValues: zip(names, 1...))
    #expect(try JSONCoding.decode([String: Int].self, from: JSONCoding.encode(values)) == values)
    #expect(
      try decode([String: Int].self, #"{"\u0001k0":1,"\u0061":2,"\ud800":3,"\u0001k1":4}"#) == [
        "\u{1}k0": 1, "a": 2, "\u{FFFD}": 3, "\u{1}k1": 4,
      ])
    #expect(try decode(Agent.self, #"{"n\u0061me":"x","mode":"fast","tools":[]}"#).name == "x")
  }

  @Test func `names that one dictionary cannot tell apart are refused`() {
    #expect(refusal([String: Int].self, #"{"\ud800":1,"\ud801":2}"#) == "duplicateKey /\u{FFFD} a member name is there twice")
    #expect(refusal([[String: Int]].self, #"[{"\u00e9":1,"e\u0301":2}]"#)?.hasPrefix("duplicateKey /0/") == true)
  }

  @Test func `limits hold for what is read and not for what is carried`() throws {
    let text = #"{"a":[1,2,3],"b":[1,2,3]}"#
    struct Holder: Decodable {
      var a: [Int]
      var b: CarriedJSON
    }
    #expect(try decode(Holder.self, text, ["/b"], limits: JSONLimits(maxNodes: 5)).b == value("[1,2,3]"))
    #expect(
      failure { () throws(JSONError) in _ = try decode(Holder.self, text, ["/b"], limits: JSONLimits(maxNodes: 4)) }?.code == .tooManyNodes)
    #expect(
      failure { () throws(JSONError) in _ = try decode([Int].self, "[[[1]]]", limits: JSONLimits(maxDepth: 2)) }?.code == .typeMismatch)
  }

  @Test func `any value can be read whole`() throws {
    let text = #"{"a":[null,true,1,1.5,"x",[],{}],"b":{"c":1e2}}"#
    #expect(
      try decode(AnyValue.self, text)
        == .object([
          "a": .array([.null, .bool(true), .integer(1), .real(1.5), .string("x"), .array([]), .object([:])]),
          "b": .object(["c": .integer(100)]),
        ]))
  }

  @Test func `a type's own refusal gets its place`() {
    struct Even: Decodable {
      init(from decoder: any Decoder) throws {
        if try decoder.singleValueContainer().decode(Int.self) % 2 != 0 { throw JSONError(.invalidValue, "must be even") }
      }
    }
    struct Range: Decodable {
      enum Key: CodingKey { case low, high }
      init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: Key.self)
        if try members.decode(Int.self, forKey: .low) > members.decode(Int.self, forKey: .high) {
          throw decoder.invalid("must not be above high", Key.low)
        }
      }
    }
    struct Own: Error {}
    struct Strange: Decodable { init(from decoder: any Decoder) throws { throw Own() } }
    #expect(refusal([Even].self, "[2,3]", at: "/p") == "invalidValue /p/1 must be even")
    #expect(refusal([Range].self, #"[{"low":2,"high":1}]"#, at: "/p") == "invalidValue /p/0/low must not be above high")
    #expect(refusal([Strange].self, "[1]", at: "/p") == "invalidValue /p/0 has a value that is not allowed")
  }

  @Test func `containers by hand: nested, flattened, super, and past the end`() throws {
    class Base: Codable {
      var base: Int
      init(base: Int) { self.base = base }
    }
    final class Derived: Base {
      enum Key: CodingKey { case own, list }
      var own = ""
      init(base: Int, own: String) {
        self.own = own
        super.init(base: base)
      }
      required init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: Key.self)
        own = try members.decode(String.self, forKey: .own)
        var list = try members.nestedUnkeyedContainer(forKey: .list)
        #expect(list.count == 2)
        #expect(try !list.decodeNil())
        #expect(try list.decode(Int.self) == 1)
        #expect(try list.decodeNil())
        #expect(list.isAtEnd)
        #expect(
          failure { () throws(JSONError) in
            do { _ = try list.decode(Int.self) } catch let error as JSONError { throw error } catch {}
          }?.summary == "missingMember /list/2 is required")
        #expect(members.codingPath.isEmpty)
        try super.init(from: members.superDecoder())
      }
      override func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: Key.self)
        try members.encode(own, forKey: .own)
        var list = members.nestedUnkeyedContainer(forKey: .list)
        try list.encode(1)
        try list.encodeNil()
        try super.encode(to: members.superEncoder())
      }
    }
    let text = try JSONCoding.encode(Derived(base: 7, own: "o"))
    #expect(text.bytes.string == #"{"own":"o","list":[1,null],"super":{"base":7}}"#)
    let read = try JSONCoding.decode(Derived.self, from: text)
    #expect(read.base == 7)
    #expect(read.own == "o")
  }

  @Test func `members that nobody knows are listed by pointer`() throws {
    let json = try value(#"{"name":1,"a/b":2,"Name":3,"name\u0000":4}"#)
    #expect(JSONCoding.unknownMembers(of: json, known: ["name", "x"], at: "/p") == ["/p/a~1b", "/p/Name", "/p/name\u{0}"])
    #expect(JSONCoding.unknownMembers(of: try value("[1]"), known: []) == [])
  }
}

@Suite struct `Encoding` {
  private func text<T: Encodable>(_ value: T) throws(JSONError) -> String { try JSONCoding.encode(value).bytes.string }

  @Test func `members come in the order of the type, absent ones not at all`() throws {
    let agent = Agent(
      name: "a\"\n\u{1}é", mode: .fast, tools: [.init(name: "t", inputSchema: try value("{\"b\":1.0, \"a\":2}"), timeoutMilliseconds: nil)],
      limits: ["z": 1, "a": 2], temperature: 0.1, strict: nil, state: nil)
    #expect(
      try text(agent)
        == #"{"name":"a\"\n\u0001é","mode":"fast","tools":[{"name":"t","inputSchema":{"b":1.0, "a":2}}],"limits":{"a":2,"z":1},"temperature":0.1}"#
    )
  }

  @Test func `every kind of value is written as JSON`() throws {
    struct Empty: Codable {}
    struct Nothing: Encodable { func encode(to encoder: any Encoder) {} }
    #expect(try text([1.0, -0.0, 1e21, .leastNonzeroMagnitude, 0.30000000000000004]) == "[1,-0,1e+21,5e-324,0.30000000000000004]")
    #expect(try text([Float(0.1)]) == "[0.1]")
    #expect(try text([UInt64.max]) == "[18446744073709551615]")
    #expect(try text([Int64.min]) == "[-9223372036854775808]")
    #expect(try text([Bool?.some(true), nil, false]) == "[true,null,false]")
    #expect(try text("") == #""""#)
    #expect(try text([[String: [Int]]]()) == "[]")
    #expect(try text([["a": [Int]()], [:]]) == #"[{"a":[]},{}]"#)
    #expect(try text(Empty()) == "{}")
    #expect(try text([Nothing(), Nothing()]) == "[{},{}]")
    #expect(try text(Int?.none) == "null")
    #expect(try text(CarriedJSON.emptyObject) == "{}")
    #expect(try text([1: "a"]) == #"{"1":"a"}"#)
  }

  @Test func `a type may flatten another into its own object`() throws {
    struct Inner: Encodable { var b = 2 }
    struct Outer: Encodable {
      enum Key: CodingKey { case a, c, d }
      func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: Key.self)
        try members.encode(1, forKey: .a)
        try Inner().encode(to: encoder)
        var deep = members.nestedContainer(keyedBy: Key.self, forKey: .c)
        var deeper = deep.nestedContainer(keyedBy: Key.self, forKey: .a)
        try deeper.encode([3], forKey: .d)
        try members.encode(Inner(), forKey: .d)
      }
    }
    #expect(try text([Outer()]) == #"[{"a":1,"b":2,"c":{"a":{"d":[3]}},"d":{"b":2}}]"#)
  }

  @Test func `what cannot be written is refused with its pointer`() {
    struct Refusing: Encodable {
      func encode(to encoder: any Encoder) throws { throw EncodingError.invalidValue(1, .init(codingPath: [], debugDescription: "secret")) }
    }
    struct Own: Encodable {
      func encode(to encoder: any Encoder) throws { throw JSONError(.invalidValue, "must be even") }
    }
    #expect(
      failure { () throws(JSONError) in _ = try text(["a": [1, Double.nan]]) }?.summary == "invalidValue /a/1 is not a finite number")
    #expect(failure { () throws(JSONError) in _ = try text(["a/b": Refusing()]) }?.summary == "invalidValue /a~1b cannot be encoded")
    #expect(failure { () throws(JSONError) in _ = try text([Own()]) }?.summary == "invalidValue /0 must be even")
  }
}
