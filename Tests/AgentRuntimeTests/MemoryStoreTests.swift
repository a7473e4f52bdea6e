import TestSupport
import Testing

@Suite struct MemoryStoreTests {
  @Test("the memory store keeps the contract", arguments: StoreContract.checks)
  func contract(check: StoreCheck) throws {
    try check.run(on: MemoryStore())
  }
}
