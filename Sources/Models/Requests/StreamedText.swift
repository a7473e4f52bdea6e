import JSON

/// Text that comes in deltas, kept as it stands inside a JSON string, so that it goes into the log without being decoded and encoded again.
struct StreamedText: Sendable {
  private var escaped: [UInt8] = []
  private var deltas = JoinedDeltas()

  var isEmpty: Bool { escaped.isEmpty && deltas.held.isEmpty }

  /// Adds a JSON string; returns what to show of it. Anything else says nothing.
  mutating func append(_ delta: CarriedJSON?) -> String {
    let (inside, shown) = deltas.take(delta)
    unsafe inside.withUnsafeBytes { unsafe escaped.append(contentsOf: $0) }
    return shown
  }

  /// What is left to show when no more is to come.
  mutating func showRest() -> String {
    escaped += deltas.held
    return deltas.showRest()
  }

  /// The inside of the whole.
  var inside: Bytes { Bytes(escaped + deltas.held) }

  /// The text itself.
  var text: String { CarriedJSON(quoting: inside).stringValue ?? "" }
}

/// Deltas of a text as they are shown: a surrogate pair that two of them share comes in one piece.
struct JoinedDeltas: Sendable {
  /// The first half of a pair, at the end of the last delta.
  private(set) var held: [UInt8] = []

  /// Takes a JSON string; answers what to show of it now, and the same as it stands inside a JSON string. Anything else says nothing.
  mutating func take(_ delta: CarriedJSON?) -> (inside: Bytes, shown: String) {
    guard let delta, let inside = delta.inside, !inside.isEmpty else { return (Bytes(), "") }
    var end = inside.count
    if end >= 6, EscapedText.surrogate(inside, end - 6) == .high, !isEscaped(inside, end - 6) { end -= 6 }
    if held.isEmpty, end == inside.count { return (inside, delta.stringValue ?? "") }
    var shown = ByteBuffer(capacity: inside.count + 8)
    shown.append(Bytes(held))
    shown.append(inside[0..<end])
    held = []
    if end < inside.count {
      inside[end..<inside.count].withEachByte { held.append($0) }
    }
    let whole = shown.finish()
    return (whole, CarriedJSON(quoting: whole).stringValue ?? "")
  }

  /// Half a pair whose other half does not come.
  mutating func showRest() -> String {
    defer { held = [] }
    return held.isEmpty ? "" : "\u{FFFD}"
  }

  /// Whether the backslash at `at` is itself escaped: an odd number of them stands before it.
  private func isEscaped(_ inside: Bytes, _ at: Int) -> Bool {
    var before = 0
    while before < at, inside[at - before - 1] == 0x5C { before += 1 }
    return before % 2 == 1
  }
}

extension Bytes {
  fileprivate func withEachByte(_ body: (UInt8) -> Void) {
    for index in 0..<count { body(self[index]) }
  }
}

extension Bytes {
  /// Whether it is a JSON object, from its first byte to its last.
  var isJSONObject: Bool {
    do throws(JSONError) { return try CarriedJSON(validating: self).kind == .object } catch { return false }
  }
}
