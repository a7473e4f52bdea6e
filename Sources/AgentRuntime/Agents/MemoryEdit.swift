import JSON

/// What an agent does to one of its memory blocks, decided on the block's text alone.
enum MemoryEdit: Sendable, Equatable {
  /// Takes the place of the only match.
  case replace(old: String, new: String)
  /// Lines of their own, after line `afterLine` (0: before the first one; nil: after the last).
  case insert(text: String, afterLine: Int?)
  /// A new text.
  case rethink(String)

  /// Why an edit cannot be done: a sentence for the model.
  struct Refusal: Error, Equatable { var message: String }

  func applied(to value: String) throws(Refusal) -> String {
    switch self {
    case .replace(let old, let new): try Self.replace(Array(old.utf8), with: new, in: Array(value.utf8))
    case .insert(let text, let line): try Self.insert(Array(text.utf8), after: line, in: Array(value.utf8))
    case .rethink(let text): text
    }
  }

  /// By bytes: Swift holds some texts equal that are different ones.
  private static func replace(_ old: [UInt8], with new: String, in value: [UInt8]) throws(Refusal) -> String {
    if old.isEmpty { throw Refusal(message: "'old' is empty. Give the text to replace, or use memory_insert.") }
    let (first, count) = matches(of: old, in: value)
    guard let first else {
      throw Refusal(message: "'old' does not occur in the block: no match. It must be the block's text, to the letter.")
    }
    guard count == 1 else {
      throw Refusal(message: "'old' occurs \(count) times in the block. Give more of the text around it, so that it occurs once.")
    }
    return String(decoding: value[..<first] + new.utf8 + value[(first + old.count)...], as: UTF8.self)
  }

  /// Knuth, Morris and Pratt's search: its time is the length of both texts, whatever they are. Matches may overlap.
  private static func matches(of pattern: [UInt8], in text: [UInt8]) -> (first: Int?, count: Int) {
    var borders = [0]
    borders.reserveCapacity(pattern.count)
    for place in pattern.indices.dropFirst() {
      var border = borders[place - 1]
      while border > 0, pattern[border] != pattern[place] { border = borders[border - 1] }
      borders.append(pattern[border] == pattern[place] ? border + 1 : 0)
    }
    var first: Int?
    var count = 0
    var matched = 0
    for (place, byte) in text.enumerated() {
      while matched > 0, pattern[matched] != byte { matched = borders[matched - 1] }
      if pattern[matched] == byte { matched += 1 }
      guard matched == pattern.count else { continue }
      first = first ?? place + 1 - matched
      count += 1
      matched = borders[matched - 1]
    }
    return (first, count)
  }

  private static func insert(_ text: [UInt8], after line: Int?, in value: [UInt8]) throws(Refusal) -> String {
    let newline = UInt8(ascii: "\n")
    // Where each line ends, its line break included.
    var ends = value.indices.filter { value[$0] == newline }.map { $0 + 1 }
    if let last = value.last, last != newline { ends.append(value.count) }
    let line = line ?? ends.count
    guard (0...ends.count).contains(line) else {
      throw Refusal(message: "There is no line \(line): the block has \(ends.count) lines. 0 is before the first.")
    }
    let split = line == 0 ? 0 : ends[line - 1]
    var result = Array(value[..<split])
    if let last = result.last, last != newline { result.append(newline) }
    result += text
    if split < value.count, result.last != newline { result.append(newline) }
    return String(decoding: result + value[split...], as: UTF8.self)
  }
}

/// The built-in tools by which an agent edits its memory.
package enum MemoryTool: String, CaseIterable, Sendable {
  case replace = "memory_replace"
  case insert = "memory_insert"
  case rethink = "memory_rethink"

  /// As the model is offered it.
  var tool: Tool {
    let text: (String, String)
    switch self {
    case .replace:
      text = (
        "Replaces a text in one of your memory blocks. The old text must occur in the block exactly once, to the letter.",
        #""old":{"type":"string","minLength":1,"description":"The text to replace."},"new":{"type":"string","description":"What stands there instead; empty to remove it."}},"required":["label","old","new"]"#
      )
    case .insert:
      text = (
        "Inserts lines into one of your memory blocks: at its end, or after a line.",
        #""text":{"type":"string","description":"The lines to insert."},"line":{"type":"integer","minimum":0,"description":"The number of the line after which the text is inserted; 0 for the beginning. Without it: at the end."}},"required":["label","text"]"#
      )
    case .rethink:
      text = (
        "Gives one of your memory blocks a new text. What it had before is gone.",
        #""value":{"type":"string","description":"The whole new text."}},"required":["label","value"]"#
      )
    }
    let label = #"{"type":"object","properties":{"label":{"type":"string","description":"The label of the block."},"#
    return Tool(
      name: rawValue, description: text.0, inputSchema: CarriedJSON(trusted: Bytes(label + text.1 + #","additionalProperties":false}"#)))
  }

  /// What a call asks for; nil when an argument is missing, which its schema does not let happen.
  func edit(_ arguments: CarriedJSON) -> (label: String, edit: MemoryEdit)? {
    func text(_ name: String) -> String? { arguments[name]?.stringValue }
    guard let label = text("label") else { return nil }
    switch self {
    case .replace:
      guard let old = text("old"), let new = text("new") else { return nil }
      return (label, .replace(old: old, new: new))
    case .insert:
      guard let text = text("text") else { return nil }
      guard let line = arguments["line"] else { return (label, .insert(text: text, afterLine: nil)) }
      // A schema takes 2.0 for an integer.
      guard let number = line.intValue ?? line.doubleValue.flatMap(Int.init(exactly:)).map({ min($0, JSONLimits.largestInteger) }) else {
        return nil
      }
      return (label, .insert(text: text, afterLine: number))
    case .rethink:
      guard let value = text("value") else { return nil }
      return (label, .rethink(value))
    }
  }
}
