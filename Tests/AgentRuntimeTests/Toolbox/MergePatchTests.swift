import JSON
import TestSupport
import Testing

@testable import AgentRuntime

@Suite struct MergePatchTests {
  @Test(
    "the examples of RFC 7396, appendix A",
    arguments: [
      (#"{"a":"b"}"#, #"{"a":"c"}"#, #"{"a":"c"}"#), (#"{"a":"b"}"#, #"{"b":"c"}"#, #"{"a":"b","b":"c"}"#),
      (#"{"a":"b"}"#, #"{"a":null}"#, "{}"), (#"{"a":"b","b":"c"}"#, #"{"a":null}"#, #"{"b":"c"}"#),
      (#"{"a":["b"]}"#, #"{"a":"c"}"#, #"{"a":"c"}"#), (#"{"a":"c"}"#, #"{"a":["b"]}"#, #"{"a":["b"]}"#),
      (#"{"a":{"b":"c"}}"#, #"{"a":{"b":"d","c":null}}"#, #"{"a":{"b":"d"}}"#), (#"{"a":[{"b":"c"}]}"#, #"{"a":[1]}"#, #"{"a":[1]}"#),
      (#"["a","b"]"#, #"["c","d"]"#, #"["c","d"]"#), (#"{"a":"b"}"#, #"["c"]"#, #"["c"]"#), (#"{"a":"foo"}"#, "null", "null"),
      (#"{"a":"foo"}"#, #""bar""#, #""bar""#), (#"{"e":null}"#, #"{"a":1}"#, #"{"e":null,"a":1}"#),
      ("[1,2]", #"{"a":"b","c":null}"#, #"{"a":"b"}"#), ("{}", #"{"a":{"bb":{"ccc":null}}}"#, #"{"a":{"bb":{}}}"#),
    ])
  func appendixA(target: String, patch: String, result: String) {
    #expect(CarriedJSON.merge(json(patch), into: json(target)) == json(result))
  }

  @Test func `the example of RFC 7396, section 3`() {
    let target = json(
      #"{"title":"Goodbye!","author":{"givenName":"John","familyName":"Doe"},"tags":["example","sample"],"content":"This will be unchanged"}"#
    )
    let patch = json(#"{"title":"Hello!","phoneNumber":"+01-123-456-7890","author":{"familyName":null},"tags":["example"]}"#)
    #expect(
      CarriedJSON.merge(patch, into: target)
        == json(
          #"{"title":"Hello!","author":{"givenName":"John"},"tags":["example"],"content":"This will be unchanged","phoneNumber":"+01-123-456-7890"}"#
        ))
  }

  @Test(
    "values keep their bytes, members their order and spelling",
    arguments: [
      (#"{"n": 1.50 , "big":18446744073709551615}"#, #"{"x":1e400}"#, #"{"n":1.50,"big":18446744073709551615,"x":1e400}"#),
      (#"{"b":{ "y" : [ 1 , "}" ] },"a":"\u0000\ud800"}"#, #"{"c":"\"{"}"#, #"{"b":{ "y" : [ 1 , "}" ] },"a":"\u0000\ud800","c":"\"{"}"#),
      (#"{"a":1,"b":2,"c":3}"#, #"{"c":4,"a":5}"#, #"{"a":5,"b":2,"c":4}"#),
      // Names are the same by what they say; the target's spelling stays.
      (#"{"caf\u00e9":1}"#, #"{"café":2}"#, #"{"caf\u00e9":2}"#),
      (#"{"caf\u00e9":1}"#, #"{"cafe\u0301":2}"#, #"{"caf\u00e9":1,"cafe\u0301":2}"#),
      (#"{"\ud83d\ude00":1}"#, #"{"😀":null}"#, "{}"), (#"{"\ud800":1,"\ud801":2}"#, #"{"\ud801":3}"#, #"{"\ud800":1,"\ud801":3}"#),
      (#"{"\/\n\t\b\f\r\"\\":1}"#, #"{"/\u000a\u0009\u0008\u000C\u000d\u0022\u005c":null}"#, "{}"),
      (#"{"\u07ff":1,"\ud7ff":2}"#, #"{"\#u{7ff}":null,"\#u{d7ff}":3}"#, #"{"\ud7ff":3}"#),
      // Of a name that is there twice the last value counts; untouched ones stay.
      (#"{"a":1,"b":2,"a":3}"#, #"{"c":4}"#, #"{"a":1,"b":2,"a":3,"c":4}"#),
      (#"{"a":{"x":1},"b":2,"a":{"y":1}}"#, #"{"a":{"z":1}}"#, #"{"a":{"y":1,"z":1},"b":2}"#),
      ("{}", #"{"a":1,"b":2,"a":3,"b":null}"#, #"{"a":3}"#),
      ("{ }", "{ }", "{}"), ("[ 1 ]", "{}", "{}"), ("1", #"{"a":[null]}"#, #"{"a":[null]}"#),
    ])
  func exact(target: String, patch: String, result: String) {
    #expect(CarriedJSON.merge(json(patch), into: json(target)).bytes.string == result)
  }

  @Test func `a target that is not there is an empty object`() {
    #expect(CarriedJSON.merge(json(#"{"a":1,"b":null,"c":{"d":null}}"#), into: nil).bytes.string == #"{"a":1,"c":{}}"#)
    #expect(CarriedJSON.merge(json(#"[null]"#), into: nil).bytes.string == "[null]")
  }

  @Test("merging is what the RFC's pseudocode says of random values", arguments: 0..<300)
  func random(seed: UInt64) throws {
    var chance = Chance(seed)
    let target = Value.random(&chance, depth: 4)
    let patch = Value.random(&chance, depth: 4)
    let merged = CarriedJSON.merge(json(patch.text(&chance)), into: json(target.text(&chance)))
    #expect(Value(merged) == target.merged(patch))
  }

  /// JSON with distinct names, merged as section 2 of the RFC does it.
  private indirect enum Value: Equatable {
    case null
    case scalar(String)
    case array([Value])
    case object([String: Value])

    init(_ json: CarriedJSON) {
      switch json.kind {
      case .null: self = .null
      case .array: self = .array(json.elements.map { Value($0) })
      case .object:
        var members: [String: Value] = [:]
        json.forEachMember { members[$0.text] = Value($1) }
        self = .object(members)
      default: self = .scalar(json.bytes.string)
      }
    }

    static func random(_ chance: inout Chance, depth: Int) -> Value {
      switch chance.below(depth == 0 ? 3 : 7) {
      case 0: return .null
      case 1: return .scalar(String(chance.below(100)))
      case 2: return .scalar(#""}]\\\"{[,:""#)
      case 3: return .array((0..<chance.below(3)).map { _ in random(&chance, depth: depth - 1) })
      default:
        var members: [String: Value] = [:]
        for _ in 0..<chance.below(5) {
          members["abcdé".randomElement(using: &chance).map(String.init) ?? ""] = random(&chance, depth: depth - 1)
        }
        return .object(members)
      }
    }

    func merged(_ patch: Value) -> Value {
      guard case .object(let changes) = patch else { return patch }
      var members: [String: Value] = [:]
      if case .object(let own) = self { members = own }
      for (name, change) in changes { members[name] = change == .null ? nil : (members[name] ?? .null).merged(change) }
      return .object(members)
    }

    /// Written with random white space and spellings.
    func text(_ chance: inout Chance) -> String {
      func space(_ chance: inout Chance) -> String { ["", " ", "\n\t", "\r "][chance.below(4)] }
      switch self {
      case .null: return "null"
      case .scalar(let text): return text
      case .array(let elements):
        var parts: [String] = []
        for element in elements { parts.append(space(&chance) + element.text(&chance) + space(&chance)) }
        return "[" + (parts.isEmpty ? space(&chance) : parts.joined(separator: ",")) + "]"
      case .object(let members):
        var parts: [String] = []
        for (name, value) in members.sorted(by: { $0.key < $1.key }) {
          let spelling =
            chance.below(2) == 0
            ? name
            : name == "é"
              ? #"\u00E9"#
              : #"\u006"#
                + String(
                  "123456".dropFirst(
                    "abcdef".firstIndex(of: Character(name)).map { "abcdef".distance(from: "abcdef".startIndex, to: $0) } ?? 0
                  ).prefix(1))
          parts.append("\(space(&chance))\"\(spelling)\"\(space(&chance)):\(space(&chance))\(value.text(&chance))\(space(&chance))")
        }
        return "{" + (parts.isEmpty ? space(&chance) : parts.joined(separator: ",")) + "}"
      }
    }
  }
}
