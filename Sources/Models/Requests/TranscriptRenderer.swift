import AgentRuntime
import JSON
import Synchronization

/// Who a message is from, as far as the separation of messages goes.
enum MessageRole: Sendable, Equatable { case user, assistant }

/// Entries that stand together in a request: the results of one batch, or a single other entry.
struct TranscriptStretch {
  let entries: ArraySlice<TranscriptEntry>
  /// What the model said before the results of a batch.
  let caller: ModelMessage?

  /// The stretch of `transcript` that begins at `index`.
  init(_ transcript: [TranscriptEntry], from index: Int) {
    var end = index + 1
    if case .tool = transcript[index] {
      while end < transcript.count, case .tool = transcript[end] { end += 1 }
    }
    entries = transcript[index..<end]
    if index > 0, case .tool = transcript[index], case .assistant(let message) = transcript[index - 1] {
      caller = message
    } else {
      caller = nil
    }
  }
}

/// How one provider writes what was said.
protocol TranscriptFormat: Sendable {
  /// Names all that the bytes of a stretch depend on besides the transcript.
  var cacheKey: String { get }
  func makeReader(_ load: @escaping (StoredValue) throws(StoreError) -> CarriedJSON) -> ContentReader
  /// Writes a stretch with what separates it from the message before it, which was by `last` (nil: there is none).
  /// - Returns: whose message is the last one now.
  func write(
    _ stretch: TranscriptStretch, after last: MessageRole?, to writer: inout PartWriter, _ reader: inout ContentReader
  ) throws(StoreError) -> MessageRole?
}

/// A transcript as the bytes of a request.
struct RenderedTranscript {
  /// In order; together they are the messages.
  var pieces: [RequestPiece] = []
  /// Who spoke last; nil when nobody did.
  var last: MessageRole?
  /// Behind which pieces a message of the user ends that a model has answered: the last such place.
  var answeredEnd: Int?
  /// Whether there are tool calls in it.
  var hasCalls = false
}

/// Turns a transcript into a provider's bytes, each entry once: a turn adds what is new, and copies nothing.
///
/// What was made is kept in the run's cache, up to `budget` bytes. Entries with values that stand in the store (they are large) are not kept,
/// unless little of them is shown; these and what comes after the budget are made anew in each turn.
enum TranscriptRenderer {
  static let budget = 32 << 20

  static func render(
    _ transcript: [TranscriptEntry], as format: some TranscriptFormat, cache: ModelCache, budget: Int = budget,
    load: @escaping (StoredValue) throws(StoreError) -> CarriedJSON
  ) throws(StoreError) -> RenderedTranscript {
    // Taken out, so that it is not copied when it grows.
    let known = cache.content.withLock { content in
      defer { content = nil }
      return content as? RenderedParts
    }
    var parts = RenderedParts(key: format.cacheKey, budget: budget)
    if let known, known.key == format.cacheKey {
      parts = known
      parts.cut(toFit: transcript)
    }
    // What was made before a value could not be read holds as well.
    defer { cache.content.withLock { $0 = parts } }
    return try parts.extend(over: transcript, format, load)
  }
}

/// What is known of a transcript's bytes.
private struct RenderedParts: ModelCacheContent {
  private struct Part: Sendable {
    var entries: Range<Int>
    /// What it was made of ends with this: a transcript that has another message there is another one.
    var lastEntry: TranscriptEntry
    /// nil: to be made anew in each turn.
    var bytes: Bytes?
    var before: MessageRole?
    var after: MessageRole?
    /// Where in the bytes the last message of the user ends that a model has answered; 0: before them.
    var answeredEnd: Int?
    var hasCalls = false
  }

  /// The newest parts stay single, and as many again before they are looked at.
  private static let newest = 16
  /// Joined parts do not get larger than this.
  private static let mostJoined = 256 << 10

  let key: String
  private let budget: Int
  private var parts: [Part] = []
  /// So many at the beginning have been looked at.
  private var settled = 0
  private(set) var entryCount = 0
  private var keptBytes = 0

  init(key: String, budget: Int) {
    self.key = key
    self.budget = budget
  }

  mutating func extend(
    over transcript: [TranscriptEntry], _ format: some TranscriptFormat, _ load: @escaping (StoredValue) throws(StoreError) -> CarriedJSON
  ) throws(StoreError) -> RenderedTranscript {
    var reader = format.makeReader(load)
    var fresh: [Int: [RequestPiece]] = [:]
    while entryCount < transcript.count {
      let stretch = TranscriptStretch(transcript, from: entryCount)
      var part = Part(
        entries: stretch.entries.indices, lastEntry: transcript[stretch.entries.endIndex - 1], before: parts.last?.after)
      if case .assistant(let message) = transcript[entryCount] {
        if part.before == .user { part.answeredEnd = 0 }
        part.hasCalls = !message.calls.isEmpty
      }
      let made = try Self.make(stretch, &part, format, &reader)
      if part.bytes != nil, keptBytes + made.byteCount <= budget { keptBytes += made.byteCount } else { part.bytes = nil }
      if part.bytes == nil { fresh[parts.count] = made.pieces }
      entryCount = part.entries.upperBound
      parts.append(part)
    }
    let rendered = try gather(transcript, fresh, format, &reader)
    settle()
    return rendered
  }

  func prefix(_ count: Int) -> RenderedParts {
    var short = self
    short.cut(to: count)
    return short
  }

  /// Forgets what was made of other messages than the transcript begins with, whoever has handed it over for this one.
  mutating func cut(toFit transcript: [TranscriptEntry]) {
    let foreign = parts.first { part in
      let end = part.entries.upperBound
      return end > transcript.count || part.lastEntry != transcript[end - 1]
    }
    if let foreign { cut(to: foreign.entries.lowerBound) }
  }

  private mutating func cut(to count: Int) {
    while let last = parts.last, last.entries.upperBound > count {
      parts.removeLast()
      keptBytes -= last.bytes?.count ?? 0
    }
    settled = min(settled, parts.count)
    entryCount = parts.last?.entries.upperBound ?? 0
  }

  private static func make(
    _ stretch: TranscriptStretch, _ part: inout Part, _ format: some TranscriptFormat, _ reader: inout ContentReader
  ) throws(StoreError) -> (pieces: [RequestPiece], byteCount: Int) {
    var writer = PartWriter()
    let before = reader.loadedBytes
    part.after = try format.write(stretch, after: part.before, to: &writer, &reader)
    let loaded = reader.loadedBytes - before
    let count = writer.count
    let pieces = writer.finish()
    // What had to be loaded is large; a small part of it is worth keeping.
    if loaded == 0 || count <= loaded / 4 { part.bytes = pieces.joined }
    return (pieces, count)
  }

  private func gather(
    _ transcript: [TranscriptEntry], _ fresh: [Int: [RequestPiece]], _ format: some TranscriptFormat, _ reader: inout ContentReader
  ) throws(StoreError) -> RenderedTranscript {
    var rendered = RenderedTranscript()
    rendered.last = parts.last?.after
    rendered.pieces.reserveCapacity(parts.count + 2)
    let answering = parts.lastIndex { $0.answeredEnd != nil }
    for (index, part) in parts.enumerated() {
      rendered.hasCalls = rendered.hasCalls || part.hasCalls
      var bytes = part.bytes
      if index == answering, let end = part.answeredEnd {
        if end > 0, let whole = bytes {
          rendered.pieces.append(.plain(whole[0..<end]))
          bytes = whole[end..<whole.count]
        }
        if !rendered.pieces.isEmpty { rendered.answeredEnd = rendered.pieces.count }
      }
      if let bytes {
        if !bytes.isEmpty { rendered.pieces.append(.plain(bytes)) }
      } else if let pieces = fresh[index] {
        rendered.pieces += pieces
      } else {
        var again = part
        rendered.pieces += try Self.make(TranscriptStretch(transcript, from: part.entries.lowerBound), &again, format, &reader).pieces
      }
    }
    return rendered
  }

  /// Joins what is behind the newest parts: what is new there at once, and then neighbours where the earlier one is not the larger. So they stay
  /// few, and each byte is copied a few times in all.
  private mutating func settle() {
    let end = parts.count - Self.newest
    guard end - settled >= Self.newest else { return }
    var joined = Array(parts[..<settled])
    var first = settled
    while first < end {
      let next = endOfJoinable(from: first, before: end)
      joined.append(next - first == 1 ? parts[first] : Self.joined(parts[first..<next]))
      first = next
      while joined.count > 1, Self.areJoinable(joined[joined.count - 2], joined[joined.count - 1]) {
        let both = Self.joined(joined.suffix(2))
        joined.removeLast(2)
        joined.append(both)
      }
    }
    parts.replaceSubrange(..<end, with: joined)
    settled = joined.count
  }

  private func endOfJoinable(from first: Int, before end: Int) -> Int {
    guard var size = parts[first].bytes?.count else { return first + 1 }
    var next = first + 1
    while next < end, let more = parts[next].bytes?.count, size + more <= Self.mostJoined {
      size += more
      next += 1
    }
    return next
  }

  private static func areJoinable(_ earlier: Part, _ later: Part) -> Bool {
    guard let head = earlier.bytes?.count, let tail = later.bytes?.count else { return false }
    return head <= tail && head + tail <= mostJoined
  }

  /// All of them have bytes.
  private static func joined(_ parts: ArraySlice<Part>) -> Part {
    var all = parts[parts.startIndex]
    var bytes: [Bytes] = []
    var size = 0
    for part in parts {
      guard let more = part.bytes else { continue }
      all.entries = all.entries.lowerBound..<part.entries.upperBound
      all.lastEntry = part.lastEntry
      all.after = part.after
      if let end = part.answeredEnd { all.answeredEnd = size + end }
      all.hasCalls = all.hasCalls || part.hasCalls
      bytes.append(more)
      size += more.count
    }
    all.bytes = bytes.joined
    return all
  }
}
