/// What the changes of some sessions have led to, so that one more change costs what it changes and not all that came since the last turn.
struct SessionToolboxes {
  struct Made: Sendable {
    /// What it was made of: the toolbox before the changes, with what the agent has, and how many the last turn had taken.
    var base: Toolbox
    var taken: Int
    /// What it is, after so many changes in all.
    var toolbox: Toolbox
    var changes: Int
  }

  /// More than a few sessions are seldom changed at the same time, and a toolbox may be large.
  private static let most = 16

  /// The newest last.
  private var made: [(branchID: ULID, value: Made)] = []

  subscript(branchID: ULID) -> Made? {
    get { made.last { $0.branchID == branchID }?.value }
    set {
      made.removeAll { $0.branchID == branchID }
      guard let newValue else { return }
      if made.count == Self.most { made.removeFirst() }
      made.append((branchID, newValue))
    }
  }
}
