import AgentRuntime

extension Shell {
  /// The run that an operand names: by its id, by the beginning of it, or as `last`, the newest that is not a sub-agent's.
  /// - Throws: usage, for what cannot name a run; failure, for a run that there is not, or when several begin so.
  func runID(_ name: String, _ runtime: Runtime) throws(StartupError) -> ULID {
    if name == "last" {
      let newest = try runtime.thread.ask { (engine) throws(RuntimeError) in try engine.newestRoot() }
      if let newest { return newest }
      throw StartupError(status: .failure, message: "there is no run in \(storeName)")
    }
    let text = name.uppercased()
    guard text.utf8.count >= 8 else {
      throw StartupError(
        status: .usage, message: "'\(VisibleText.shown(name))' names no run: give its id, at least the first 8 characters of it, or 'last'")
    }
    var query = RunQuery()
    // All that begin so stand together, as ids are listed in their order; one more than shown tells whether there are more.
    query.limit = 6
    guard let last = ULID(text + String(repeating: "Z", count: max(0, 26 - text.utf8.count))) else { throw notFound(name) }
    query.before = last.next
    let found = try ids(matching: query, runtime).filter { $0.text.hasPrefix(text) }
    guard let first = found.first else { throw notFound(name) }
    if found.count > 1 {
      let list = found.prefix(5).map { "\n  \($0)" }.joined() + (found.count > 5 ? "\n  ..." : "")
      throw StartupError(status: .failure, message: "the ids of several runs begin with '\(VisibleText.shown(name))':\(list)")
    }
    return first
  }

  private func ids(matching query: RunQuery, _ runtime: Runtime) throws(StartupError) -> [ULID] {
    try runtime.thread.ask { (engine) throws(RuntimeError) in try engine.runs(matching: query, driver: nil).runs.map(\.outcome.runID) }
  }

  private func notFound(_ name: String) -> StartupError {
    StartupError(status: .failure, message: "there is no run '\(VisibleText.shown(name))' in \(storeName)")
  }

  /// The store, in messages.
  var storeName: String { options.knownStore?.text ?? "the store" }
}

extension ULID {
  /// The one after this; nil after the last.
  fileprivate var next: ULID? {
    let (low, carries) = low.addingReportingOverflow(1)
    let (high, ends) = high.addingReportingOverflow(carries ? 1 : 0)
    return ends ? nil : ULID(high: high, low: low)
  }
}
