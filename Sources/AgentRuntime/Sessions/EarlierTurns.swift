import JSON

/// The turns of a branch before one of them, the nearest first; those whose runs were deleted, too.
struct EarlierTurns {
  private static let mostAtOnce = 64

  private let branchID: ULID
  private var number: Int
  /// The run of the nearest, where it is known: mostly nobody asks for more.
  private var nearest: ULID?
  private var page: [TurnDocument] = []
  private var pageLength = 1

  init(_ turn: TurnPlace) {
    branchID = turn.branchID
    nearest = turn.previous
    number = turn.number
  }

  /// Those of a branch, the last one first.
  init(in branch: Branch, before end: Int) {
    branchID = branch.branchID
    number = end
  }

  mutating func next(_ engine: RunEngine) throws(RuntimeError) -> ULID? {
    if let runID = nearest {
      nearest = nil
      number -= 1
      return runID
    }
    return try nextDocument(engine)?.runID
  }

  /// For those of a whole branch.
  mutating func nextDocument(_ engine: RunEngine) throws(RuntimeError) -> TurnDocument? {
    if page.isEmpty, number > 0 {
      let first = max(0, number - pageLength)
      page = try engine.turnDocuments(of: branchID, from: first, to: number)
      number = first
      pageLength = min(Self.mostAtOnce, 4 * pageLength)
    }
    return page.popLast()
  }
}
