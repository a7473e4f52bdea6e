import AgentRuntime
import JSON

/// A message as `expect` of a script sees it: `{role, content, name?, callId?, isError?}`.
struct ShownMessage {
  var role: String
  var content: String
  var name: String?
  var callID: String?
  var isError: Bool?

  /// The last message, and the tool messages of the last batch.
  static func last(of request: ModelRequest) throws(StoreError) -> [ShownMessage] {
    var shown: [ShownMessage] = []
    scan: for entry in request.transcript.reversed() {
      switch entry {
      case .assistant: break scan
      case .said(let blocks):
        if shown.isEmpty { shown.append(ShownMessage(role: "assistant", content: try ModelText.text(of: blocks, load: request.load))) }
        break scan
      case .user(let blocks):
        if shown.isEmpty { shown.append(ShownMessage(role: "user", content: try ModelText.text(of: blocks, load: request.load))) }
      case .tool(let callID, let name, let result, let maxBytes):
        shown.append(
          ShownMessage(
            role: "tool", content: try ModelText.text(of: result, maxBytes: maxBytes, load: request.load), name: name, callID: callID.text,
            isError: result.isError))
      }
    }
    return shown
  }

  /// Whether every member of `expect` fits: a text when equal, `{"contains": ...}` when inside.
  func matches(_ expect: CarriedJSON) -> Bool {
    var fits = true
    expect.forEachMember { name, wanted in
      switch name {
      case "role": fits = fits && Self.fits(role, wanted)
      case "content": fits = fits && Self.fits(content, wanted)
      case "name": fits = fits && Self.fits(self.name, wanted)
      case "callId": fits = fits && Self.fits(callID, wanted)
      case "isError": fits = fits && isError == wanted.boolValue
      default: fits = false
      }
    }
    return fits
  }

  /// The members of `expect` that do not fit, by name; the values stay in the run.
  func misfits(_ expect: CarriedJSON) -> [String] {
    var names: [String] = []
    expect.forEachMember { name, wanted in
      var single = JSONWriter()
      single.beginObject()
      single.key(escaping: name.text)
      single.value(wanted)
      single.endObject()
      if !matches(CarriedJSON(trusted: single.finish())) { names.append(name.text) }
    }
    return names
  }

  private static func fits(_ text: String?, _ wanted: CarriedJSON) -> Bool {
    guard let text else { return false }
    if let whole = wanted.stringValue { return text.utf8.elementsEqual(whole.utf8) }
    guard let part = wanted["contains"]?.stringValue else { return false }
    return text.holds(part)
  }
}
