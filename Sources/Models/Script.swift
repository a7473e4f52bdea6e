import AgentRuntime
import JSON

/// A file of JSON Lines, one model turn each: protocol section 10, and two members more, so that a turn that a real model gave is the same when
/// it is played again: `x-stopReason` of a turn that did not end naturally, and `x-cutOff: true` of a call that the end of the turn cut off, which
/// is refused as it was then.
struct Script: Sendable {
  /// What `x-stopReason` may be.
  static let stopReasons: Set<String> = ["max_tokens", "refusal"]

  struct Turn: Sendable {
    /// A JSON string.
    var text: CarriedJSON
    var calls: [ModelTurn.Call]
    var stopReason: String
    var delayMilliseconds: Int
    var expect: CarriedJSON?
    /// The first turn after this entry's last repetition.
    var end: Int
  }

  private(set) var turns: [Turn] = []

  /// - Throws: `model.unavailable` that names the file, the line and what is wrong there.
  init(_ text: Bytes, file: String) throws(RuntimeError) {
    var start = 0
    var line = 0
    while start < text.count {
      let stop = text.firstIndex(of: 0x0A, from: start) ?? text.count
      line += 1
      let row = text[start..<stop]
      start = stop + 1
      if row.isBlank { continue }
      do throws(RuntimeError) { try append(row) } catch {
        let place = error.pointer.map { $0.isEmpty ? "" : " at \($0)" } ?? ""
        throw RuntimeError(.modelUnavailable, "script \(file), line \(line): \(error.message)\(place)")
      }
    }
  }

  private mutating func append(_ row: Bytes) throws(RuntimeError) {
    let json: CarriedJSON
    let members: [String: CarriedJSON]
    do throws(JSONError) {
      json = try CarriedJSON(validating: row)
      members = try json.uniqueMembers()
    } catch {
      let column = error.located(in: row).column.map { " at column \($0)" } ?? ""
      throw .invalidParams(error.message + column, at: error.pointer ?? "")
    }
    func count(_ name: String, least: Int) throws(RuntimeError) -> Int? {
      guard let value = members[name] else { return nil }
      guard let number = value.intValue, number >= least, number <= JSONLimits.largestInteger else {
        throw .invalidParams("must be a whole number from \(least) to \(JSONLimits.largestInteger)", at: "/" + name)
      }
      return number
    }
    if let text = members["text"], text.kind != .string { throw .invalidParams("must be a string", at: "/text") }
    if let calls = members["toolCalls"], calls.kind != .array { throw .invalidParams("must be a list", at: "/toolCalls") }
    if let expect = members["expect"], expect.kind != .object { throw .invalidParams("must be an object", at: "/expect") }
    var calls: [ModelTurn.Call] = []
    for (index, call) in (members["toolCalls"]?.elements ?? []).enumerated() {
      guard let name = call["name"]?.stringValue else { throw .invalidParams("must be a string", at: "/toolCalls/\(index)/name") }
      // A string stands for the text a model wrote, which need not be JSON.
      let arguments = call["arguments"].map { value in value.kind == .string ? Bytes(value.stringValue ?? "") : value.bytes.compacted() }
      if let cut = call["x-cutOff"], cut.boolValue == nil {
        throw .invalidParams("must be true or false", at: "/toolCalls/\(index)/x-cutOff")
      }
      calls.append(
        ModelTurn.Call(name: name, arguments: arguments ?? Bytes("{}"), isCutOff: call["x-cutOff"]?.boolValue == true))
    }
    let reason = members["x-stopReason"]?.stringValue
    if members["x-stopReason"] != nil, reason.map(Self.stopReasons.contains) != true {
      throw .invalidParams("must be one of \(Self.stopReasons.sorted().joined(separator: ", "))", at: "/x-stopReason")
    }
    let repetitions = try count("repeat", least: 1) ?? 1
    turns.append(
      Turn(
        text: members["text"] ?? CarriedJSON(string: ""), calls: calls, stopReason: reason ?? (calls.isEmpty ? "end_turn" : "tool_use"),
        delayMilliseconds: try count("delayMs", least: 0) ?? 0,
        expect: members["expect"], end: min((turns.last?.end ?? 0) + repetitions, JSONLimits.largestInteger)))
  }

  /// The turn at `index`, from 0; nil when the script is over.
  func turn(at index: Int) -> Turn? {
    var low = 0
    var high = turns.count
    while low < high {
      let middle = (low + high) / 2
      if turns[middle].end > index { high = middle } else { low = middle + 1 }
    }
    return low < turns.count ? turns[low] : nil
  }
}

extension Bytes {
  fileprivate func firstIndex(of byte: UInt8, from start: Int) -> Int? {
    var index = start
    while index < count {
      if self[index] == byte { return index }
      index += 1
    }
    return nil
  }

  fileprivate var isBlank: Bool {
    var index = 0
    while index < count {
      if ![0x20, 0x09, 0x0D].contains(self[index]) { return false }
      index += 1
    }
    return true
  }
}
