import AgentRuntime
import SQLiteStore
import TestSupport
import Testing

@Suite struct ContractTests {
  @Test("a store in a file keeps the contract", arguments: StoreContract.checks)
  func file(check: StoreCheck) throws {
    let folder = try Folder()
    try check.run(on: folder.open())
  }

  @Test("a store in memory keeps the contract", arguments: StoreContract.checks)
  func memory(check: StoreCheck) throws {
    try check.run(on: SQLiteStore.open(path: ":memory:", wallClock: { 1_700_000_000_000 }))
  }
}
