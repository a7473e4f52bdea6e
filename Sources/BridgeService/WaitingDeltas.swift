import AgentRuntime
import JSON

/// What is streamed while the client does not read. It takes as much room as there are messages and calls, not as there are pieces: text is
/// joined, of a command's output the newest is kept and says how much is left out, and of other progress the last.
struct WaitingDeltas {
  private enum Key: Hashable {
    case text(ULID)
    case reasoning(ULID)
    case output(ULID, stream: String)
    case progress(ULID)

    var isText: Bool {
      switch self {
      case .text, .reasoning: true
      case .output, .progress: false
      }
    }
  }

  private struct Entry {
    let runID: ULID
    let key: Key
    var text = ""
    /// Of what was said before `text`.
    var leftOut = 0
    var members = CarriedJSON.emptyObject

    func delta(longestOutput: Int) -> StreamedDelta {
      switch key {
      case .text(let message): return .text(messageID: message, text)
      case .reasoning(let message): return .reasoning(messageID: message, text)
      case .progress(let call): return .toolProgress(callID: call, members)
      case .output(let call, let stream):
        return .toolProgress(callID: call, ShownProgress.output(of: stream, text, leftOut: leftOut, longest: longestOutput))
      }
    }
  }

  private var entries: [Entry] = []
  /// Where the last text of a run stands, and the progress of a call: what comes is joined there.
  private var lastText: [ULID: Int] = [:]
  private var places: [Key: Int] = [:]

  var isEmpty: Bool { entries.isEmpty }

  mutating func add(_ runID: ULID, _ delta: StreamedDelta) {
    switch delta {
    case .text(let message, let text): join(runID, .text(message), text)
    case .reasoning(let message, let text): join(runID, .reasoning(message), text)
    case .toolProgress(let call, let members):
      if let stream = members["stream"]?.stringValue, let text = members["text"]?.stringValue {
        let place = place(runID, .output(call, stream: stream))
        entries[place].text += text
        let excess = entries[place].text.utf8.count - StreamedDelta.longestText
        // Cut seldom, so that a long output costs no more than its length.
        if excess > StreamedDelta.longestText {
          let newest = String(entries[place].text.newest(StreamedDelta.longestText))
          entries[place].leftOut += entries[place].text.utf8.count - newest.utf8.count
          entries[place].text = newest
        }
      } else {
        entries[place(runID, .progress(call))].members = members
      }
    }
  }

  private mutating func join(_ runID: ULID, _ key: Key, _ text: String) {
    if let last = lastText[runID], entries[last].key == key {
      entries[last].text += text
    } else {
      append(Entry(runID: runID, key: key, text: text))
    }
  }

  private mutating func place(_ runID: ULID, _ key: Key) -> Int {
    if let known = places[key] { return known }
    append(Entry(runID: runID, key: key))
    return entries.count - 1
  }

  private mutating func append(_ entry: Entry) {
    if entry.key.isText { lastText[entry.runID] = entries.count } else { places[entry.key] = entries.count }
    entries.append(entry)
  }

  /// What of it there is of runs that are `ready`, in order; that does not wait any more.
  ///
  /// - Parameter longestOutput: How much of a command's output stands in one piece, in bytes.
  mutating func take(longestOutput: Int, _ ready: (ULID) -> Bool) -> [(runID: ULID, delta: StreamedDelta)] {
    var taken: [(runID: ULID, delta: StreamedDelta)] = []
    keep { entry in
      if !ready(entry.runID) { return true }
      taken.append((entry.runID, entry.delta(longestOutput: longestOutput)))
      return false
    }
    return taken
  }

  mutating func drop(_ runID: ULID) { keep { $0.runID != runID } }

  /// The call has its result, in which all that is.
  mutating func dropProgress(of callID: ULID) {
    keep { entry in
      switch entry.key {
      case .output(callID, _), .progress(callID): false
      default: true
      }
    }
  }

  private mutating func keep(_ isKept: (Entry) -> Bool) {
    let before = entries
    (entries, lastText, places) = ([], [:], [:])
    for entry in before where isKept(entry) { append(entry) }
  }
}
