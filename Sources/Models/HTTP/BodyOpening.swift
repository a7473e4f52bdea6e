import JSON

/// What the body of an answer is, by how it begins. What it is called is only a hint: servers and what stands between call a stream JSON, and give
/// one JSON document another type or none.
struct BodyOpening: Sendable {
  enum Nature { case stream, whole }

  /// The type is one of documents that come whole. Servers that say nothing, or something odd, may still stream.
  let isCalledWhole: Bool
  /// What has come, without a byte order mark and white space before it, while that does not tell.
  private(set) var start = Bytes()

  init(_ head: HTTPHead) {
    let type = head.first("content-type")?.mediaType ?? ""
    isCalledWhole = ["application/json", "text/html", "application/xhtml+xml"].contains(type)
  }

  /// Takes what came next; answers what the body is as soon as that is known, with all of it so far.
  mutating func take(_ bytes: Bytes) -> (nature: Nature, start: Bytes)? {
    start = (start.isEmpty ? bytes : [start, bytes].joined).withoutByteOrderMark.withoutLeadingBlanks
    return nature.map { ($0, start) }
  }

  private static let fields = [":", "data:", "event:", "id:", "retry:"].map { Bytes($0) }

  private var nature: Nature? {
    if start.isEmpty || start.isPartOfByteOrderMark { return nil }
    // JSON and HTML; no line of a stream that says anything begins so.
    if [0x7B, 0x5B, 0x3C].contains(start[0]) { return .whole }
    if !isCalledWhole { return .stream }
    for field in Self.fields {
      let count = min(start.count, field.count)
      if start[0..<count] == field[0..<count] { return count == field.count ? .stream : nil }
    }
    return .whole
  }
}
