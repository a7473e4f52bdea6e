package import AgentRuntime

extension SQLiteStore {
  package func observe(_ run: ULID, _ wanted: Bool, after sequence: Int) throws(StoreError) {
    try withLiveLock { (live) throws(StoreError) in try live.observe(run, wanted, after: sequence, isAlive: hasOpen) }
  }

  package func observed(among runs: [ULID]) throws(StoreError) -> Set<ULID> {
    try openLive()?.observed(among: runs, isAlive: hasOpen) ?? []
  }

  package func publish(_ chunks: [LiveChunk]) throws(StoreError) {
    let observed = try observed(among: chunks.map(\.runID))
    let wanted = chunks.filter { observed.contains($0.runID) }
    if wanted.isEmpty { return }
    try withLiveLock { (live) throws(StoreError) in try live.publish(wanted, at: self.wallClock()) }
  }

  package func liveChunks() throws(StoreError) -> [LiveChunk] {
    try openLive()?.read() ?? []
  }
}
