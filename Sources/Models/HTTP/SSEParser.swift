import JSON

/// Reads server-sent events from pieces that are cut anywhere: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
///
///     parser.feed(piece)
///     while let event = try parser.next() { … }
///
/// The data of an event that lies within a piece is a part of that piece, not a copy.
/// A field `error` with JSON, as llama.cpp sends it, is an event of that name. `id` and `retry` are for clients that connect again, which asks for a new answer of a model; they are passed over.
struct SSEParser: ~Copyable {
  private static let lineFeed = UInt8(0x0A)
  private static let carriageReturn = UInt8(0x0D)

  private let maxEventBytes: Int

  private var piece = Bytes()
  private var at = 0
  // Where the next of each stands in the piece; `.max` when there is none, -1 when nobody has looked. Each byte is searched once for each.
  private var nextLineFeed = -1
  private var nextCarriageReturn = -1
  /// The last line ended with a carriage return at the end of its piece; a line feed that follows belongs to it.
  private var owesLineFeed = false
  /// The line that the last piece did not end.
  private var begunLine = ByteBuffer(capacity: 0)
  private var isFirstLine = true

  // The event so far.
  private var name: Bytes?
  private var firstData: Bytes?
  /// All data, from the second line on.
  private var joinedData = ByteBuffer(capacity: 0)
  private var hasJoined = false

  /// Most streams alternate between few names.
  private var lastName = (bytes: Bytes(), text: "message")

  /// - Parameter maxEventBytes: the bound of an event's data and of a line.
  init(maxEventBytes: Int = 32 << 20) { self.maxEventBytes = maxEventBytes }

  /// Takes the next bytes of the stream; `next` gives the events that they end.
  mutating func feed(_ bytes: Bytes) {
    if at < piece.count {
      // The last piece was not read to its end.
      var both = ByteBuffer(capacity: piece.count - at + bytes.count)
      both.append(piece[at..<piece.count])
      both.append(bytes)
      piece = both.finish()
    } else {
      piece = bytes
    }
    (at, nextLineFeed, nextCarriageReturn) = (0, -1, -1)
  }

  /// The next event; nil when it is not there yet. After an error the stream cannot be read any further.
  mutating func next() throws(SSEError) -> SSEEvent? {
    while let line = try nextLine() {
      if !line.isEmpty {
        try take(line)
      } else if let event = takeEvent() {
        return event
      }
    }
    return nil
  }

  /// Says at the end of the stream whether it was cut in the middle of an event, and forgets that event, as is the rule.
  mutating func finish() -> Bool {
    let isCut = at < piece.count || !begunLine.isEmpty || firstData != nil || name != nil
    self = SSEParser(maxEventBytes: maxEventBytes)
    return isCut
  }

  // MARK: Lines

  private mutating func nextLine() throws(SSEError) -> Bytes? {
    if owesLineFeed, at < piece.count {
      owesLineFeed = false
      if piece[at] == Self.lineFeed { at += 1 }
    }
    if at == piece.count { return nil }
    if nextLineFeed < at { nextLineFeed = piece.firstIndex(of: Self.lineFeed, from: at) ?? .max }
    if nextCarriageReturn < at { nextCarriageReturn = piece.firstIndex(of: Self.carriageReturn, from: at) ?? .max }
    let end = min(nextLineFeed, nextCarriageReturn)
    try check(begunLine.count + min(end, piece.count) - at)
    if end == .max {
      begunLine.append(piece[at..<piece.count])
      at = piece.count
      return nil
    }
    let start = at
    at = end + 1
    if end == nextCarriageReturn {
      if at == piece.count { owesLineFeed = true } else if piece[at] == Self.lineFeed { at += 1 }
    }
    return wholeLine(piece[start..<end])
  }

  private mutating func wholeLine(_ ending: Bytes) -> Bytes {
    var line = ending
    if !begunLine.isEmpty {
      begunLine.append(ending)
      line = begunLine.finish()
    }
    if isFirstLine {
      isFirstLine = false
      line = line.withoutByteOrderMark
    }
    return line
  }

  // MARK: Fields

  private static let dataField = Bytes("data")
  private static let eventField = Bytes("event")
  private static let errorField = Bytes("error")

  private mutating func take(_ line: Bytes) throws(SSEError) {
    let colon = line.firstIndex(of: 0x3A) ?? line.count
    let field = line[0..<colon]
    var start = min(colon + 1, line.count)
    if start < line.count, line[start] == 0x20 { start += 1 }
    let value = line[start..<line.count]
    // A line that begins with a colon is a comment and has the field "".
    if field == Self.dataField {
      try add(value)
    } else if field == Self.eventField {
      name = value
    } else if field == Self.errorField, !value.isEmpty, value[0] == 0x7B || value[0] == 0x5B {
      name = field
      try add(value)
    }
  }

  private mutating func add(_ data: Bytes) throws(SSEError) {
    guard let firstData else {
      self.firstData = data
      return
    }
    if !hasJoined {
      hasJoined = true
      joinedData.append(firstData)
    }
    try check(joinedData.count + 1 + data.count)
    joinedData.append(Self.lineFeed)
    joinedData.append(data)
  }

  private func check(_ count: Int) throws(SSEError) {
    if count > maxEventBytes { throw SSEError(message: "An event of the stream is larger than \(maxEventBytes) bytes.") }
  }

  // MARK: Events

  /// What an empty line ends: an event, if it has data.
  private mutating func takeEvent() -> SSEEvent? {
    defer { (name, firstData, hasJoined) = (nil, nil, false) }
    guard let firstData else { return nil }
    return SSEEvent(name: text(of: name), data: hasJoined ? joinedData.finish() : firstData)
  }

  private mutating func text(of name: Bytes?) -> String {
    guard let name, !name.isEmpty else { return "message" }
    if name != lastName.bytes { lastName = (name.compacted(), name.string) }
    return lastName.text
  }
}
