/// What is to happen later on the engine's thread: a heap by due time. A cancelled timer stays until it is due and then does nothing.
struct Timers {
  typealias Token = Int

  private struct Entry {
    var due: Int
    var token: Token
    var body: () -> Void
  }

  private var heap: [Entry] = []
  private var cancelled: Set<Token> = []
  private var lastToken = 0

  var nextDue: Int? { heap.first?.due }

  mutating func add(due: Int, _ body: @escaping () -> Void) -> Token {
    lastToken += 1
    insert(Entry(due: due, token: lastToken, body: body))
    return lastToken
  }

  mutating func cancel(_ token: Token) {
    cancelled.insert(token)
    // Many cancelled timers with far due times must not pile up.
    guard cancelled.count > 64, cancelled.count > heap.count / 2 else { return }
    let kept = heap.filter { !cancelled.contains($0.token) }
    cancelled = []
    heap = []
    for entry in kept { insert(entry) }
  }

  private mutating func insert(_ entry: Entry) {
    heap.append(entry)
    var child = heap.count - 1
    while child > 0, heap[child].due < heap[(child - 1) / 2].due {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  /// The bodies that are due, in order.
  mutating func takeDue(at now: Int) -> [() -> Void] {
    var due: [() -> Void] = []
    while let first = heap.first, first.due <= now {
      removeFirst()
      if cancelled.remove(first.token) == nil { due.append(first.body) }
    }
    return due
  }

  private mutating func removeFirst() {
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var parent = 0
    while true {
      var smallest = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].due < heap[smallest].due { smallest = child }
      if smallest == parent { return }
      heap.swapAt(parent, smallest)
      parent = smallest
    }
  }
}
