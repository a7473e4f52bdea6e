/// Cuts running output into what is shown of it at a time.
enum OutputPiece {
  /// The newest whole lines of `fresh` as text of at most `limit` bytes, and how much of it is done with.
  ///
  /// A line longer than the limit is shown in parts. What does not fit is left out, which the text says. What is not UTF-8 becomes U+FFFD.
  static func cut(_ fresh: UnsafeRawBufferPointer, limit: Int, isLast: Bool) -> (text: String?, consumed: Int) {
    let stop = unsafe isLast ? fresh.count : end(of: fresh, limit: limit)
    guard stop > 0 else { return (nil, 0) }
    let whole = unsafe UnsafeRawBufferPointer(rebasing: fresh[..<stop])
    let text = unsafe newest(whole, bytes: limit)
    // Each byte that is not UTF-8 takes three as U+FFFD.
    return (unsafe text.utf8.count <= limit ? text : newest(whole, bytes: limit / 3), stop)
  }

  /// After the last line end; without one before the last character when there is too much already, else 0.
  private static func end(of fresh: UnsafeRawBufferPointer, limit: Int) -> Int {
    let floor = max(0, fresh.count - limit)
    var at = fresh.count
    while at > floor {
      if unsafe fresh[at - 1] == 0x0A { return at }
      at -= 1
    }
    guard fresh.count > limit else { return 0 }
    return unsafe characterStart(fresh, before: fresh.count)
  }

  private static func newest(_ whole: UnsafeRawBufferPointer, bytes room: Int) -> String {
    guard whole.count > room else { return unsafe String(decoding: whole, as: UTF8.self) }
    // 40 bytes for the note.
    var start = whole.count - max(1, room - 40)
    if let lineEnd = unsafe whole[start...].dropLast().firstIndex(of: 0x0A) {
      start = lineEnd + 1
    } else {
      while start < whole.count - 1, unsafe whole[start] & 0xC0 == 0x80 { start += 1 }
    }
    return unsafe "[\(start) bytes left out]\n" + String(decoding: whole[start...], as: UTF8.self)
  }

  /// Where the character begins that `end` may have cut: `end` itself when it is whole.
  private static func characterStart(_ bytes: UnsafeRawBufferPointer, before end: Int) -> Int {
    var at = end - 1
    while at > max(0, end - 4), unsafe bytes[at] & 0xC0 == 0x80 { at -= 1 }
    let lead = unsafe bytes[at]
    let length = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
    return at + length > end ? at : end
  }
}
