import AgentRuntime
import JSON
import JSONRPC
import POSIXSupport

/// Reading what a server offers.
extension MCPSharedServer {
  func readList(at now: Int) {
    let number = listedNumber
    connection?.handler.takeChange()
    isListStale = false
    listing = Listing(
      number: number, list: MCPToolList(mostPages: context.limits.listPages), deadline: now + context.limits.startMilliseconds)
    askForPage(cursor: nil, number)
  }

  private var listedNumber: Int {
    listCount += 1
    return listCount
  }

  private func askForPage(cursor: CarriedJSON?, _ number: Int) {
    ask("tools/list", dialect.listTools(cursor: cursor), carrying: MCPToolList.carriedPaths) { server, reply in
      server.listed(reply, number)
    }
  }

  private func listed(_ reply: PeerReply, _ number: Int) {
    // The answer to a question that was given up.
    guard var listing, listing.number == number else { return }
    switch reply {
    case .result(let page):
      let next = listing.list.take(page)
      self.listing = listing
      switch next {
      case .page(let cursor): askForPage(cursor: cursor, number)
      case .complete: finishList(listing.list.tools)
      case .cut(let words):
        loop.note(name, "\(words); what came so far (\(listing.list.tools.count)) is used")
        finishList(listing.list.tools)
      case .failed(let words): failList(words)
      }
    case .error(let error):
      // One that has no tools need not know the method.
      if error.code == -32601, agreement?.hasTools == false { return finishList([]) }
      failList("refused tools/list: \(error.message.prefix(500)) (code \(error.code))")
    case .broken(let reason): failList("gave a list of tools that cannot be used: \(reason)")
    case .closed: return
    }
  }

  private func finishList(_ tools: [MCPListedTool]) {
    let now = Clock.monotonicMilliseconds()
    listing = nil
    listedAt = now
    self.tools = tools
    if isStarting { becomeReady(at: now) }
    loop.settled(self)
  }

  private func failList(_ words: String) {
    listing = nil
    let now = Clock.monotonicMilliseconds()
    listedAt = now
    if isStarting { return failStart(words, at: now) }
    // What it offered before may still work.
    loop.note(name, words)
  }

  /// Follows changes, but not faster than it makes sense.
  func advanceList(at now: Int) -> Int {
    if let listing {
      guard now >= listing.deadline else { return listing.deadline }
      failList("did not answer tools/list within \(context.limits.startMilliseconds) ms")
    }
    guard isListStale else { return .max }
    let due = listedAt + context.limits.listMilliseconds
    guard now >= due else { return due }
    readList(at: now)
    return listing?.deadline ?? .max
  }
}
