import FootbridgeKit
import JSON
import Testing

/// The schema that is made of the type of a function's arguments.
struct ArgumentsSchemaTests {
  private func schema(_ type: (some Decodable).Type) -> String { ArgumentsSchema.of(type).bytes.string }

  private enum Vehicle: String, Decodable, CaseIterable { case bicycle, train }

  private struct Stop: Decodable { var name: String }

  private struct Optionals: Decodable {
    var text: String?
    var truth: Bool?
    var real: Double?
    var short: Float?
    var whole: Int?
    var tiny: Int8?
    var wide: UInt64?
    var choice: Vehicle?
    var list: [Int]?
    var object: Stop?
    var text2: String
  }

  @Test func `an optional member of any type may be absent or null`() {
    let members = [
      #""text":{"type":["string","null"]}"#, #""truth":{"type":["boolean","null"]}"#, #""real":{"type":["number","null"]}"#,
      #""short":{"type":["number","null"]}"#, #""whole":{"type":["integer","null"]}"#, #""tiny":{"type":["integer","null"]}"#,
      #""wide":{"type":["integer","null"]}"#, #""choice":{"type":["string","null"],"enum":["bicycle","train",null]}"#,
      #""list":{"type":["array","null"],"items":{"type":"integer"}}"#,
      #""object":{"type":["object","null"],"properties":{"name":{"type":"string"}},"required":["name"]}"#, #""text2":{"type":"string"}"#,
    ]
    #expect(schema(Optionals.self) == #"{"type":"object","properties":{\#(members.joined(separator: ","))},"required":["text2"]}"#)
  }

  private struct Integers: Decodable {
    var a: Int16?
    var b: Int32?
    var c: Int64?
    var d: UInt?
    var e: UInt8?
    var f: UInt16?
    var g: UInt32?
  }

  @Test func `so may an integer of any width`() {
    let members = ["a", "b", "c", "d", "e", "f", "g"].map { #""\#($0)":{"type":["integer","null"]}"# }
    #expect(schema(Integers.self) == #"{"type":"object","properties":{\#(members.joined(separator: ","))},"required":[]}"#)
  }

  @Test func `optional elements and an optional as a whole may be null`() {
    #expect(schema([String?].self) == #"{"type":"array","items":{"type":["string","null"]}}"#)
    let vehicles = #"{"type":["array","null"],"items":{"type":["string","null"],"enum":["bicycle","train",null]}}"#
    #expect(schema([[Vehicle?]?].self) == #"{"type":"array","items":\#(vehicles)}"#)
    #expect(schema(Int??.self) == #"{"type":["integer","null"]}"#)
  }

  private struct Looking: Decodable {
    var both = ""
    var present = ""
    var notNull = ""

    enum CodingKeys: CodingKey { case both, present, notNull }

    init(from decoder: any Decoder) throws {
      let members = try decoder.container(keyedBy: CodingKeys.self)
      both = try members.decodeIfPresent(String.self, forKey: .both) ?? "a default"
      if members.contains(.present) { present = try members.decode(String.self, forKey: .present) }
      if try !members.decodeNil(forKey: .notNull) { notNull = try members.decode(String.self, forKey: .notNull) }
    }
  }

  @Test func `a type that looks for a member itself goes on without it, and one that asks for null takes it`() {
    let members = [
      #""both":{"type":["string","null"]}"#, #""present":{"type":"string"}"#, #""notNull":{"type":["string","null"]}"#,
    ]
    #expect(schema(Looking.self) == #"{"type":"object","properties":{\#(members.joined(separator: ","))},"required":["notNull"]}"#)
  }

  private struct Pair: Decodable {
    var first: Int?

    init(from decoder: any Decoder) throws {
      var elements = try decoder.unkeyedContainer()
      first = try elements.decodeIfPresent(Int.self)
    }
  }

  @Test func `an element that a type decodes if it is there may be null`() {
    #expect(schema(Pair.self) == #"{"type":"array","items":{"type":["integer","null"]}}"#)
  }

  private struct Judging: Decodable {
    var code: Code?
    var rest: Int

    struct Code: Decodable {
      init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        if text.isEmpty { throw DecodingError.dataCorrupted(.init(codingPath: [], debugDescription: "empty")) }
      }
    }
  }

  @Test func `what comes after an optional member that no value can be made up for is seen`() {
    #expect(
      schema(Judging.self)
        == #"{"type":"object","properties":{"code":{"type":["string","null"]},"rest":{"type":"integer"}},"required":["rest"]}"#)
  }
}
