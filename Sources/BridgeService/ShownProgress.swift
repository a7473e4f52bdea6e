import AgentRuntime
import JSON

/// How much of a tool's progress is shown where there is no room for all of it.
enum ShownProgress {
  /// What a command printed: the newest of it, and how much is left out.
  ///
  /// - Parameters:
  ///   - leftOut: Bytes before `text` that are gone already.
  ///   - longest: Of the text that is shown, in bytes.
  static func output(of stream: String, _ text: String, leftOut: Int = 0, longest: Int) -> CarriedJSON {
    let newest = text.newest(longest)
    let gone = leftOut + text.utf8.count - newest.utf8.count
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("stream", stream)
    writer.member("text", gone > 0 ? "[\(gone) bytes left out]\n\(newest)" : String(newest))
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }

  /// Progress with so much of its message, in bytes.
  fileprivate static func progress(_ members: CarriedJSON, longest: Int) -> CarriedJSON {
    var writer = JSONWriter()
    writer.beginObject()
    members.forEachMember { name, value in
      writer.key(name)
      if name == "message", let message = value.stringValue {
        writer.string(message.shortened(writtenBytes: longest))
      } else {
        writer.value(value)
      }
    }
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }
}

extension StreamedDelta {
  /// A tool's progress with no text in it that is longer than that, in bytes; text of a model is cut into pieces elsewhere.
  func shortened(longest: Int) -> StreamedDelta {
    guard case .toolProgress(let callID, let members) = self else { return self }
    guard let stream = members["stream"]?.stringValue, let text = members["text"]?.stringValue else {
      return .toolProgress(callID: callID, ShownProgress.progress(members, longest: longest))
    }
    return .toolProgress(callID: callID, ShownProgress.output(of: stream, text, longest: longest))
  }
}

extension String {
  /// At most so many bytes of its end, from the beginning of a line on if there is one, else of a character.
  func newest(_ bytes: Int) -> Substring {
    let view = utf8
    guard view.count > bytes else { return self[...] }
    var start = view.index(view.endIndex, offsetBy: -bytes)
    if let lineEnd = view[start...].dropLast().firstIndex(of: 0x0A) { return self[view.index(after: lineEnd)...] }
    while start < view.endIndex, view[start] & 0xC0 == 0x80 { start = view.index(after: start) }
    return self[start...]
  }
}
