import JSON

/// The calls of one model message, in its order. Thousands of them may be answered one by one, so what an answer leads to is found without walking all.
package struct Batch: Sendable, Equatable {
  package private(set) var calls: [Call]
  private var places: [ULID: Int]
  package private(set) var tally: BatchTally
  /// Before it none is pending.
  private var firstPending = 0

  static let empty = Batch([])

  init(_ calls: [Call]) {
    self.calls = calls
    places = [:]
    tally = BatchTally()
    for (index, call) in calls.enumerated() {
      places[call.callID] = index
      tally.count(call, by: 1)
    }
    skipSettled()
  }

  package var pendingCount: Int { tally.pending }

  package subscript(_ callID: ULID) -> Call? { places[callID].map { calls[$0] } }

  package func isPending(_ callID: ULID) -> Bool { places[callID].map { calls[$0].isPending } ?? false }

  mutating func update(_ callID: ULID, _ body: (inout Call) -> Void) {
    guard let place = places[callID] else { return }
    tally.count(calls[place], by: -1)
    body(&calls[place])
    tally.count(calls[place], by: 1)
    skipSettled()
  }

  private mutating func skipSettled() {
    while firstPending < calls.count, !calls[firstPending].isPending { firstPending += 1 }
  }

  package var pending: some Sequence<Call> { calls[firstPending...].lazy.filter(\.isPending) }

  /// Looks at those that are pending where they stand, in order, until `body` says false; a sequence would copy each.
  func forEachPending(_ body: (borrowing Call) -> Bool) {
    for index in firstPending..<calls.count where calls[index].isPending && !body(calls[index]) { return }
  }

  /// Whether one that is pending is such a call.
  package func contains(where isWanted: (borrowing Call) -> Bool) -> Bool {
    var isThere = false
    forEachPending { call in
      isThere = isWanted(call)
      return !isThere
    }
    return isThere
  }

  /// Those that are pending and such calls.
  func filter(_ isWanted: (borrowing Call) -> Bool) -> [Call] {
    var wanted: [Call] = []
    forEachPending { call in
      if isWanted(call) { wanted.append(copy call) }
      return true
    }
    return wanted
  }
}

/// How many calls of a batch are pending, and of them how many are of which kind.
package struct BatchTally: Sendable, Equatable {
  package private(set) var pending = 0
  /// Client calls that may go out, or are out.
  package private(set) var forClient = 0
  /// Of those the ones that never were sent.
  package private(set) var unsent = 0
  package private(set) var forServer = 0
  package private(set) var approvals = 0
  package private(set) var questions = 0
  /// Approvals and questions that nobody was asked for in the log.
  package private(set) var unasked = 0
  /// Those with a time at which they count as denied.
  package private(set) var expiring = 0
  /// Sub-agents that wait or are paused.
  package private(set) var halted = 0

  mutating func count(_ call: borrowing Call, by amount: Int) {
    guard call.isPending else { return }
    pending += amount
    if call.expiresAt != nil { expiring += amount }
    if call.halt != nil { halted += amount }
    if call.isForServer { forServer += amount }
    switch call.need {
    case .result:
      forClient += amount
      if call.attempt == 0 { unsent += amount }
      return
    case .approval: approvals += amount
    case .input: questions += amount
    case nil: return
    }
    if !call.isAsked { unasked += amount }
  }
}
