import JSON

/// Memory blocks of stored agents, for clients and for prompts. All on the engine's thread.
extension RunEngine {
  /// One block, or all that the agent declares, in its order.
  /// - Throws: `agent.notFound`; `invalidParams` for a label that the agent does not have.
  package func memory(of agentID: String, label: String?) throws(RuntimeError) -> [StoredBlock] {
    let declared = try declaredBlocks(of: agentID)
    if let label, !declared.contains(where: { $0.label == label }) { throw .noBlock }
    let labels = label.map { [$0] } ?? declared.map(\.label)
    return try read { () throws(StoreError) in try blocks(of: agentID, labels: labels) }
  }

  /// Gives a block another value.
  /// - Parameter version: The one that the client has seen; nil when it does not matter.
  /// - Returns: the block's version.
  /// - Throws: `agent.notFound`, `agent.conflict`, `memory.readOnly`; `invalidParams` for an unknown label, or a value beyond the limit.
  package func setMemory(of agentID: String, label: String, to value: String, ifVersion version: Int?) throws(RuntimeError) -> Int {
    try untilWritten { () throws(RuntimeError) -> Written<Int> in
      guard var block = try memory(of: agentID, label: label).first else { throw .noBlock }
      if let version, version != block.version {
        throw RuntimeError(.agentConflict, "the memory block has version \(block.version)", pointer: "/ifVersion")
      }
      if block.isReadOnly { throw RuntimeError(.memoryReadOnly, "the memory block is read-only: agent.update can change it") }
      let length = MemoryBlock.length(of: value)
      guard length <= block.limit else {
        throw .invalidParams("has \(length) characters, more than the block's limit of \(block.limit)", at: "/value")
      }
      if value.utf8.elementsEqual(block.value.utf8) { return Written(block.version, []) }
      block.value = value
      return Written(block.version + 1, try writes(of: block, by: .client))
    }
  }

  // MARK: Shared

  /// As they are in the store; a block that is not there is left out.
  func blocks(of agentID: String, labels: [String]) throws(StoreError) -> [StoredBlock] {
    var blocks: [StoredBlock] = []
    for label in labels {
      if let document = try store.document(StoredBlock.kind, StoredBlock.documentID(agentID, label)) {
        blocks.append(try StoredBlock(document))
      }
    }
    return blocks
  }

  /// What has to be written so that the store has the blocks that an agent declares.
  ///
  /// A block that is there keeps its value, unless the agent declares another one than before. What it no longer declares stays in the store,
  /// out of sight: runs that began with it still have it, and it is back when it is declared again.
  func declarationWrites(of blocks: [MemoryBlock], agentID: String) throws(RuntimeError) -> [DocumentWrite] {
    var changes: [DocumentWrite] = []
    for declared in blocks {
      let document = try read { () throws(StoreError) in
        try store.document(StoredBlock.kind, StoredBlock.documentID(agentID, declared.label))
      }
      guard let document else {
        changes += try writes(of: StoredBlock(agentID: agentID, declaring: declared), by: .agent)
        continue
      }
      let before = try read { () throws(StoreError) in try StoredBlock(document) }
      var block = before
      block.take(declared)
      if block != before { changes += try writes(of: block, by: .agent) }
    }
    return changes
  }

  private func writes(of block: StoredBlock, by author: StoredBlock.Author) throws(RuntimeError) -> [DocumentWrite] {
    let now = host.wallClock()
    return try read { () throws(StoreError) in
      try block.writes(by: author, at: now) { (kind, id) throws(StoreError) in try store.document(kind, id) }
    }
  }

  private func declaredBlocks(of agentID: String) throws(RuntimeError) -> [MemoryBlock] {
    let agent = try agentInUse(agentID)
    return try RunParams.read(Agent.self, agent.json, at: "/agent", carrying: Agent.carriedPaths).memory ?? []
  }
}

extension RuntimeError {
  fileprivate static var noBlock: RuntimeError { .invalidParams("the agent has no memory block of this label", at: "/label") }
}
