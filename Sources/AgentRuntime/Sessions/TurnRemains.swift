import JSON

/// What a session goes on with after the run of a turn was deleted; kept in the document of the turn.
struct TurnRemains: Sendable, Equatable {
  /// How many messages the run had: later compactions count them.
  var messages = 0
  /// What the run left out of the messages before it, with the summaries.
  var compactions: [Compaction] = []
  /// What the next turn begins with; nil where that follows on another run.
  var left: LeftInSession?

  var isEmpty: Bool { messages == 0 && compactions.isEmpty && left == nil }

  func write(to writer: inout JSONWriter) {
    writer.beginObject()
    writer.member("messages", messages)
    if !compactions.isEmpty {
      writer.key("compactions")
      Compaction.write(compactions, to: &writer)
    }
    if let left {
      writer.member("toolbox", left.toolbox.json)
      writer.member("sessionChanges", left.changes)
      if !left.decisions.isEmpty { writer.member("decisions", StandingDecision.json(left.decisions)) }
    }
    writer.endObject()
  }

  /// - Throws: `store.newer` for what this version does not understand.
  init(reading json: CarriedJSON) throws(RuntimeError) {
    messages = json["messages"]?.intValue ?? 0
    compactions = (json["compactions"]?.elements ?? []).compactMap(Compaction.init(reading:))
    guard let toolbox = json["toolbox"] else { return }
    guard let changes = json["sessionChanges"]?.intValue, let decisions = StandingDecision.list(json["decisions"] ?? .null) else {
      throw RuntimeError(.storeNewer, "the store has a deleted turn that this version does not understand")
    }
    left = LeftInSession(toolbox: try Toolbox(reading: toolbox), changes: changes, decisions: decisions)
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
  init(_ state: RunState) {
    self.init(toolbox: state.toolbox.keptBySession, changes: state.changes.session, decisions: state.standingDecisions)
  }
}
