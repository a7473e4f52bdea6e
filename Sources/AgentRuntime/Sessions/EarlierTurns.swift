/// The runs of the turns before one of a branch, the nearest first; those that were deleted, too.
struct EarlierTurns {
  private static let pageLength = 64

  private let branchID: ULID
  private var number: Int
  /// The first of them: mostly nobody asks for more.
  private var nearest: ULID?
  private var page: [ULID] = []

  init(_ turn: TurnPlace) {
    branchID = turn.branchID
    nearest = turn.previous
    number = turn.number
  }

  /// All of a branch, the last one first.
  init(in branch: Branch) {
    branchID = branch.branchID
    number = branch.turns
  }

  mutating func next(_ engine: RunEngine) throws(RuntimeError) -> ULID? {
    if let runID = nearest {
      nearest = nil
      number -= 1
      return runID
    }
    if page.isEmpty, number > 0 {
      let first = max(0, number - Self.pageLength)
      page = try engine.turnRuns(of: branchID, from: first, to: number)
      number = first
    }
    return page.popLast()
  }
}
