import JSON

/// What a session goes on with after the run of a turn was deleted; kept in the document of the turn.
struct TurnRemains: Sendable, Equatable {
  /// How many messages the run had: later compactions count them.
  var messages = 0
  /// What the run left out of the messages before it, with the summaries.
  var compactions: [Compaction] = []
  /// What the next turn begins with; nil where that follows on another run.
  var left: LeftInSession?
  /// What there was after some of its messages, for branches that leave there and begin with that; none where it is what there was at the end.
  var earlier: [Earlier] = []

  struct Earlier: Sendable, Equatable {
    var messages: Int
    /// How many of the compactions had been made.
    var compactions: Int
    var left: LeftInSession
  }

  /// The message that it was passed on to: others were passed on to it.
  var passedOnTo: ULID?

  var isEmpty: Bool { messages == 0 && compactions.isEmpty && left == nil && passedOnTo == nil }

  /// - Parameter messages: Those of the run that a branch shares; nil: all.
  func left(after messages: Int?) -> LeftInSession? { earlier.first { $0.messages == messages }?.left ?? left }

  /// Those that had been made when the run had so many messages.
  func compactions(after messages: Int) -> [Compaction] {
    guard let place = earlier.first(where: { $0.messages == messages }) else { return compactions }
    return Array(compactions.prefix(place.compactions))
  }

  func write(to writer: inout JSONWriter) {
    writer.beginObject()
    writer.member("messages", messages)
    if !compactions.isEmpty {
      writer.key("compactions")
      Compaction.write(compactions, to: &writer)
    }
    left?.writeMembers(to: &writer)
    writer.member("passedOnTo", ifPresent: passedOnTo?.text)
    if !earlier.isEmpty {
      writer.key("earlier")
      writer.beginArray()
      for place in earlier {
        writer.beginObject()
        writer.member("messages", place.messages)
        writer.member("compactionCount", place.compactions)
        place.left.writeMembers(to: &writer)
        writer.endObject()
      }
      writer.endArray()
    }
    writer.endObject()
  }

  /// - Throws: `store.newer` for what this version does not understand.
  init(reading json: CarriedJSON) throws(RuntimeError) {
    messages = json["messages"]?.intValue ?? 0
    compactions = (json["compactions"]?.elements ?? []).compactMap(Compaction.init(reading:))
    left = try LeftInSession(reading: json)
    passedOnTo = json["passedOnTo"]?.stringValue.flatMap(ULID.init)
    for place in json["earlier"]?.elements ?? [] {
      guard let messages = place["messages"]?.intValue, let compactions = place["compactionCount"]?.intValue,
        let left = try LeftInSession(reading: place)
      else { throw LeftInSession.notUnderstood }
      earlier.append(Earlier(messages: messages, compactions: compactions, left: left))
    }
  }

  init() {}
}

/// What a turn leaves to the next one besides its messages.
struct LeftInSession: Sendable, Equatable {
  var toolbox: Toolbox
  /// How many changes of the session are in it.
  var changes: Int
  var decisions: [StandingDecision]
}

extension LeftInSession {
  fileprivate static let notUnderstood = RuntimeError(.storeNewer, "the store has a deleted turn that this version does not understand")

  fileprivate func writeMembers(to writer: inout JSONWriter) {
    writer.member("toolbox", toolbox.json)
    writer.member("sessionChanges", changes)
    if !decisions.isEmpty { writer.member("decisions", StandingDecision.json(decisions)) }
  }

  /// Nil where nothing was kept.
  fileprivate init?(reading json: CarriedJSON) throws(RuntimeError) {
    guard let toolbox = json["toolbox"] else { return nil }
    guard let changes = json["sessionChanges"]?.intValue, let decisions = StandingDecision.list(json["decisions"] ?? .null) else {
      throw Self.notUnderstood
    }
    self.init(toolbox: try Toolbox(reading: toolbox), changes: changes, decisions: decisions)
  }

  init(_ state: RunState) {
    self.init(toolbox: state.toolbox.keptBySession, changes: state.changes.session, decisions: state.standingDecisions)
  }
}
