import JSON

/// What a process remembers of the turns at the end of a branch, so that whoever asks for the first, the last or the next one that waits need not pass
/// all that have waited.
///
/// It rests on what never changes again: that a turn was made, that it has begun, that it has become part of a later one, that it has ended. So it may
/// know too little, as when another process has ended a turn, but nothing wrong; who uses an entry looks at its run first.
struct BranchQueue {
  struct Turn: Equatable {
    var number: Int
    var runID: ULID
  }

  /// The number of the next turn to come. Those before it are known back to one that has begun, or to the first of the branch.
  private(set) var end: Int
  /// Those that may have to end before a later one begins, in their order.
  private(set) var open: [Turn] = []
  /// Those that have become part of a later one, and have not begun for good.
  private(set) var merged: [Turn] = []
  /// Those that may take the place of what waits before them, or take it along: all but the ones that were seen not to.
  private(set) var takers: [Turn] = []
  /// One more than the number of the last turn that is known to have begun, or to have been deleted when it may have: none behind those known has left
  /// anything to the next.
  private(set) var left: Int
  /// All before this one have ended or become part of one that has begun.
  private var begun: Int

  /// - Parameter first: No turn is known yet; that one is the first to be.
  init(first: Int) { (end, left, begun) = (first, first, first) }

  /// - Parameter takes: False for one that leaves alone what waits before it.
  mutating func add(_ runID: ULID, takes: Bool = true) {
    open.append(Turn(number: end, runID: runID))
    if takes { takers.append(Turn(number: end, runID: runID)) }
    end += 1
  }

  mutating func hasBegun(_ turn: Turn) {
    left = max(left, turn.number + 1)
    guard begun < turn.number else { return }
    begun = turn.number
    for list in [\Self.open, \Self.merged, \Self.takers] { self[keyPath: list].removeFirst(Self.place(of: begun, in: self[keyPath: list])) }
  }

  mutating func hasEnded(_ turn: Turn) {
    for list in [\Self.open, \Self.merged, \Self.takers] { Self.remove(turn, from: &self[keyPath: list]) }
  }

  mutating func wasDeleted(_ turn: Turn) {
    left = max(left, turn.number + 1)
    hasEnded(turn)
  }

  mutating func hasMerged(_ turn: Turn) {
    hasEnded(turn)
    merged.insert(turn, at: Self.place(of: turn.number, in: merged))
  }

  mutating func takesNone(_ turn: Turn) { Self.remove(turn, from: &takers) }

  /// The nearest of them before a turn.
  static func last(of turns: [Turn], before number: Int) -> Turn? {
    let place = place(of: number, in: turns)
    return place > 0 ? turns[place - 1] : nil
  }

  /// The nearest of them behind a turn.
  static func first(of turns: [Turn], after number: Int) -> Turn? {
    let place = place(of: number + 1, in: turns)
    return place < turns.count ? turns[place] : nil
  }

  /// Where the first of them is that has this number or a higher one.
  private static func place(of number: Int, in turns: [Turn]) -> Int {
    var (low, high) = (0, turns.count)
    while low < high {
      let middle = (low + high) / 2
      if turns[middle].number < number { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private static func remove(_ turn: Turn, from turns: inout [Turn]) {
    let place = place(of: turn.number, in: turns)
    if place < turns.count, turns[place] == turn { turns.remove(at: place) }
  }
}
