import JSON

// `Content-Length` framing: https://microsoft.github.io/language-server-protocol/specifications/base/0.9/specification/#baseProtocol

extension Framer {
  mutating func nextHeaderLine(length: Int?, isEmpty: Bool) -> Step {
    let end = buffer.firstIndex(of: 0x0A, from: max(searched, start))
    if (end ?? buffer.count) - start > Self.maxHeaderLine {
      start += 1
      return loseTrack("a header line is longer than \(Self.maxHeaderLine) bytes")
    }
    guard let end else {
      searched = buffer.count
      return .more
    }
    let line = HeaderLine(buffer.copy(start..<end))
    switch line {
    case .blank:
      start = end + 1
      searched = start
      if let length, length > maxMessageBytes {
        skipped = SkippedMessage()
        state = .skippedBody(remaining: length)
      } else if let length {
        state = .body(length: length)
      } else if !isEmpty {
        return loseTrack("a header has no Content-Length")
      }
      return .again
    case .length, .other:
      start = end + 1
      searched = start
      state = .header(length: line.length ?? length, isEmpty: false)
      return .again
    case .badLength:
      start = end + 1
      searched = start
      return loseTrack("a Content-Length is not a number")
    case .noise:
      // Not consumed but for one byte: the next header may begin within it, right behind a body that was longer than its header said.
      start += 1
      return loseTrack("a header line has no name")
    }
  }

  /// From here on everything is skipped up to the next header.
  private mutating func loseTrack(_ reason: String) -> Step {
    state = .lost
    searched = start
    return .frame(.malformed(reason))
  }

  mutating func nextBody(length: Int) -> Step {
    guard buffer.count - start >= length else { return .more }
    state = .header(length: nil, isEmpty: true)
    return .frame(take(start..<start + length, next: start + length))
  }

  mutating func skipBody(remaining: Int) -> Step {
    let part = min(buffer.count - start, remaining)
    skip(start..<start + part)
    state = .skippedBody(remaining: remaining - part)
    guard part == remaining else { return .more }
    state = .header(length: nil, isEmpty: true)
    return .frame(endSkipped(isLine: false))
  }

  mutating func findHeader() -> Step {
    let name = HeaderLine.lengthName
    var from = max(searched, start)
    while let colon = buffer.firstIndex(of: 0x3A, from: from) {
      let begin = colon - name.count
      if begin >= start, HeaderLine.lowercase(buffer.copy(begin..<colon)) == name {
        start = begin
        searched = begin
        state = .header(length: nil, isEmpty: true)
        return .again
      }
      from = colon + 1
    }
    start = max(start, buffer.count - name.count)
    searched = buffer.count
    return .more
  }
}

/// One line of a header, without its line feed.
enum HeaderLine: Equatable {
  case blank
  case length(Int)
  case badLength
  /// A header that does not matter here.
  case other(isContent: Bool)
  case noise

  static let lengthName = Array("content-length".utf8)

  init(_ line: Bytes) {
    var text = line
    while !text.isEmpty, Self.isBlank(text[text.count - 1]) { text = text[0..<text.count - 1] }
    guard !text.isEmpty else {
      self = .blank
      return
    }
    // RFC 9110, 5.6.2: the characters of a token.
    guard let colon = text.firstIndex(of: 0x3A), colon > 0,
      (0..<colon).allSatisfy({ Self.isTokenCharacter(text[$0]) })
    else {
      self = .noise
      return
    }
    let name = Self.lowercase(text[0..<colon])
    guard name == Self.lengthName else {
      self = .other(isContent: name.starts(with: "content-".utf8))
      return
    }
    var digits = text[colon + 1..<text.count]
    while !digits.isEmpty, Self.isBlank(digits[0]) { digits = digits[1..<digits.count] }
    let isNumber = !digits.isEmpty && digits.count <= 18 && (0..<digits.count).allSatisfy { digits[$0] &- 0x30 < 10 }
    self = isNumber ? Int(digits.string).map { .length($0) } ?? .badLength : .badLength
  }

  var length: Int? {
    if case .length(let length) = self { length } else { nil }
  }

  /// Whether this is one of the headers with which a message begins.
  var isContentHeader: Bool {
    switch self {
    case .length, .badLength: true
    case .other(let isContent): isContent
    case .blank, .noise: false
    }
  }

  static func lowercase(_ name: Bytes) -> [UInt8] {
    (0..<name.count).map { name[$0] &- 0x41 < 26 ? name[$0] | 0x20 : name[$0] }
  }

  private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }

  private static func isTokenCharacter(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2E, 0x5E...0x60, 0x7C, 0x7E: true
    default: false
    }
  }
}
