import JSON
import Testing

@Suite struct `The text of strings` {
  @Test(arguments: [
    (#"{"$blob":1}"#, true), (#"[{"a":{"$blob" \#n\#t : 1}}]"#, true), (#"[{"\u0024blob":1}]"#, true), (#"{"a\"\\":"\\","$blob":1}"#, true),
    (#"{"a":"$blob"}"#, false), (#"["$blob"]"#, false), (#""$blob""#, false), (#"{"a":"{\"$blob\":1}"}"#, false),
    (#"{"$blob ":1,"x$blob":2,"\\$blob":3,"\\u0024blob":4}"#, false), ("{}", false), ("[]", false), ("1", false),
  ])
  func `a member is found at any depth, and nothing that looks like one`(json: String, isThere: Bool) throws {
    #expect(try value(json).holdsMember("$blob") == isThere)
  }

  @Test func `a member under very many levels is found soon`() {
    let levels = 200_000
    for (inner, isThere) in [(#"{"$blob":1}"#, true), (#"{"a":"\u0024blob"}"#, false)] {
      let json = String(repeating: #"[{"a":"#, count: levels) + inner + String(repeating: "}]", count: levels)
      #expect(CarriedJSON(trusted: Bytes(json)).holdsMember("$blob") == isThere)
    }
  }

  @Test(arguments: [
    ("", ""), ("plain", "plain"), ("\"", #"\""#), ("\\", #"\\"#), ("/", "/"), ("\u{8}\u{C}\n\r\t", #"\b\f\n\r\t"#),
    ("\u{0}\u{1}\u{F}\u{10}\u{1F}", #"\u0000\u0001\u000f\u0010\u001f"#), ("\u{7F}é中😀", "\u{7F}é中😀"),
  ])
  func `is escaped where JSON asks for it and nowhere else`(text: String, inside: String) {
    #expect(CarriedJSON(string: text).bytes == Bytes("\"\(inside)\""))
    #expect(CarriedJSON(string: text).stringValue == text)
  }

  @Test(arguments: [
    (#""\u0041\u00e9\u4E2d\uD83D\uDE00""#, "Aé中😀"), (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"),
    (#""\ud800""#, "\u{FFFD}"), (#""\ud800x\udc00""#, "\u{FFFD}x\u{FFFD}"), (#""\ud800\ud83d\ude00""#, "\u{FFFD}😀"),
    (#""\udc00\ud800""#, "\u{FFFD}\u{FFFD}"), (#""\ud83d\u0041""#, "\u{FFFD}A"), (#""\ud83d\n""#, "\u{FFFD}\n"), (#""a\u0000b""#, "a\0b"),
  ])
  func `is what the escapes stand for`(json: String, text: String) throws {
    #expect(try value(json).stringValue == text)
  }

  @Test(arguments: [
    #"\n"#, #"\\"#, #"\""#, #"\\\n"#, #"\\u0041"#, #"\u0041"#, #"\u00e9"#, #"\ud83d\ude00"#, "é", #"\n\n"#, #"\t\\"#,
  ])
  func `has as many bytes as are counted, wherever its escapes stand`(escape: String) throws {
    for length in [0, 1, 30, 31, 32, 33, 63, 64, 65, 100, 8160, 8192] {
      for place in Set([0, 1, length / 2, length - 32, length - 2, length - 1, length]) where (0...length).contains(place) {
        let text = String(repeating: "x", count: place) + escape + String(repeating: "y", count: length - place) + escape
        let json = try value("\"\(text)\"")
        #expect(json.stringByteCount == json.stringValue?.utf8.count, "\(length) at \(place)")
      }
    }
  }

  @Test(arguments: [#"["",1]"#, #""""#, #""x""#, #"["x","y"]"#, #"{"a":"\"","b":"\\"}"#])
  func `is quoted again as it was, from between its quotes and from elsewhere`(json: String) {
    let bytes = Bytes(json)
    for start in 0...bytes.count {
      for end in start...bytes.count {
        let inside = bytes[start..<end]
        #expect(CarriedJSON(quoting: inside).bytes == Bytes("\"\(inside.string)\""))
      }
    }
  }

  @Test func `of JSON is escaped like the same text`() throws {
    let json = try value(#"{"a":["\"\\\n",1.0,"é中😀"]}"#)
    var writer = JSONWriter()
    writer.string(textOf: json.bytes)
    #expect(writer.finish() == CarriedJSON(string: json.bytes.string).bytes)
  }

  @Test func `comes back from its escaped form whatever it is`() throws {
    var random = Random(3)
    let scalars: [Unicode.Scalar] = [
      "\"", "\\", "\n", "\u{0}", "\u{1F}", " ", "a", "a", "a", "a", "\u{7F}", "\u{80}", "é", "中", "\u{FFFD}", "😀", "\u{10FFFF}",
    ]
    for count in 0..<400 {
      var text = ""
      for _ in 0..<count { text.unicodeScalars.append(scalars.randomElement(using: &random)!) }
      let json = CarriedJSON(string: text)
      #expect(try CarriedJSON(validating: json.bytes).stringValue.map { Array($0.utf8) } == Array(text.utf8))
    }
    for length in 0..<200 {
      for place in 0...length {
        let text = String(repeating: "x", count: place) + "\n" + String(repeating: "y", count: length - place)
        #expect(CarriedJSON(string: text).bytes.count == length + 4)
        #expect(CarriedJSON(string: text).stringValue == text)
      }
    }
  }
}

@Suite struct `The writer` {
  @Test func `puts commas where they belong`() {
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("text", "a\"b")
    writer.member("number", -12)
    writer.member("flag", true)
    writer.member("absent", ifPresent: String?.none)
    writer.key("list")
    writer.beginArray()
    writer.null()
    writer.double(0.1)
    writer.double(3)
    writer.double(.infinity)
    writer.beginObject()
    writer.endObject()
    writer.endArray()
    writer.key(escaping: "k\n")
    writer.value(.emptyObject)
    writer.endObject()
    #expect(writer.finish() == Bytes(#"{"text":"a\"b","number":-12,"flag":true,"list":[null,0.1,3,null,{}],"k\n":{}}"#))
    writer.int(.min)
    #expect(writer.finish() == Bytes("-9223372036854775808"))
  }

  @Test func `writes every integer in full`() {
    for value in [0, 1, 9, 10, 99, 100, 12_345_678_901, Int.max, -1, Int.min] {
      var writer = JSONWriter()
      writer.int(value)
      #expect(writer.finish().string == String(value))
    }
  }
}

@Suite struct `Carried values` {
  @Test func `show their parts without changing them`() throws {
    let json = try value(#"{ "a" : [ 1.0 , "\u0041", null ] , "b":true, "a":2 }"#)
    #expect(json.kind == .object)
    #expect(json["a"]?.elements == [try value("1.0"), try value(#""\u0041""#), .null])
    #expect(json["a"]?.elements.map(\.stringValue) == [nil, "A", nil])
    #expect(json["b"]?.boolValue == true)
    #expect(json["c"] == nil)
    #expect(try value("12").intValue == 12)
    #expect(try ["12.0", "-12e0", "1.2e1", "9007199254740991.0"].map { try value($0).wholeValue } == [12, -12, 12, 9_007_199_254_740_991])
    #expect(try ["1.5", "9007199254740992", "1e400", "\"1\"", "null"].map { try value($0).wholeValue } == [nil, nil, nil, nil, nil])
    #expect(try value("12.0").intValue == nil)
    #expect(try value("1.5").doubleValue == 1.5)
    var names: [String] = []
    json.forEachMember { name, _ in names.append(name.text) }
    #expect(names == ["a", "b", "a"])
    #expect(
      failure { () throws(JSONError) in _ = try json.uniqueMembers(at: "/x") }?.summary == "duplicateKey /x/a a member name is there twice")
  }

  @Test(
    "a member's name is compared as the text it stands for, to the byte",
    arguments: [
      (#""name""#, true), (#""n\u0061me""#, true), (#""\u006e\u0061\u006d\u0065""#, true), (#""nam""#, false), (#""names""#, false),
      (#""Name""#, false),
      (#""n\u0061m""#, false), (#""name\u0000""#, false), (#""""#, false), (#""\\name""#, false), (#""\ud800name""#, false),
    ])
  func names(name: String, isSame: Bool) throws {
    var seen: [Bool] = []
    try value("{\(name):1}").forEachMember { name, _ in
      seen.append(name == "name")
      seen.append(!(name != "name"))
      switch name {
      case "other": seen.append(false)
      case "name": seen.append(true)
      default: seen.append(false)
      }
    }
    #expect(seen == [isSame, isSame, isSame])
  }

  @Test func `equal strings that are different names are told apart`() throws {
    // Both are an e with an acute accent to Swift.
    try value("{\"e\u{301}\":1}").forEachMember { name, _ in
      #expect(name != "\u{e9}")
      #expect(name == "e\u{301}")
    }
  }

  @Test func `a member is found by its exact name`() throws {
    // The Kelvin sign, which Swift holds equal to K.
    let json = try value("{\"\u{212A}ey\":1,\"Key\":2}")
    #expect(json["Key"]?.intValue == 2)
    #expect(json["\u{212A}ey"]?.intValue == 1)
  }
}
