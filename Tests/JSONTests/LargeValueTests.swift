import JSON
import Testing

/// What a split has remembered of large members changes nothing of what is read.
@Suite struct `Large members of a message` {
  private static let text = String(repeating: #"a \"line\" of text\n"#, count: 5000)
  private static let rows = "[" + (0..<4000).map { #"{"id":\#($0),"x":"é]}"}"# }.joined(separator: " ,") + "]"

  /// The members of a split message, read again.
  private func read(_ text: String, in around: (String, String) = ("", "")) throws -> [String] {
    let start = around.0.utf8.count
    let whole = Bytes(around.0 + text + around.1)
    guard case .object(let members) = try CarriedJSON.split(whole[start..<start + text.utf8.count]) else { return [] }
    var all: [String] = []
    for (name, value) in members {
      try value.check(carrying: ["/structuredContent", "/list/*/value"], limits: JSONLimits())
      value.forEachMember { inner, member in all.append("\(name).\(inner)=\(member.bytes.string)") }
    }
    return all
  }

  @Test(arguments: [("", ""), ("[", ","), (String(repeating: " ", count: 70_000), "")])
  func `are read as they are, wherever the message stands`(around: (String, String)) throws {
    let message =
      #"{"id":1,"result":{"content":"\#(Self.text)" , "structuredContent":\#(Self.rows),"small":{"a":[]}, "list":[{"value":\#(Self.rows)}] }}"#
    #expect(
      try read(message, in: around) == [
        #"result.content="\#(Self.text)""#, "result.structuredContent=\(Self.rows)", #"result.small={"a":[]}"#,
        #"result.list=[{"value":\#(Self.rows)}]"#,
      ])
  }

  @Test func `are found again in a part of the message that begins with them`() throws {
    guard case .object(let members) = try CarriedJSON.split(Bytes(#"{"result":{"a":\#(Self.rows),"b":1}}"#)),
      let result = members.first?.value
    else { throw JSONError(.syntax, "no object") }
    let rows = try #require(result["a"])
    var count = 0
    rows.forEachElement { row in
      #expect(row.bytes.string == #"{"id":\#(count),"x":"é]}"}"#)
      count += 1
    }
    #expect(count == 4000)
    #expect(rows.elements.count == 4000)
  }

  @Test(arguments: [
    "{", "{}x", #"{"a"}"#, #"{"a":1"#, #"{"a":1,}"#, #"{"a":1 "b":2}"#, #"{,}"#, #"{"a":[}"#, #"{"a":1]"#, #"{"a":}"#, #"{a:1}"#,
    #"{"a":tru}"#,
  ])
  func `are refused with the words that small ones are refused with`(broken: String) {
    func said(_ text: String) -> String? {
      let whole = Bytes(#"{"id":1,"result":"# + text)
      return failure { () throws(JSONError) in _ = try CarriedJSON.split(whole) }?.summary
    }
    let long = String(repeating: " ", count: 100_000)
    #expect(said(broken + long) == said(broken))
    let depth = 600
    let deep = #"{"a":"# + String(repeating: "[", count: depth) + String(repeating: "]", count: depth) + "}"
    #expect(said(deep + long + "}") == said(deep + "}"))
  }
}
