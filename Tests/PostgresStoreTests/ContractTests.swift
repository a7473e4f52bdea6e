import PostgresStore
import TestSupport
import Testing

@Suite(.enabled(if: Cluster.folder != nil, "PostgreSQL is not installed")) struct ContractTests {
  @Test("a store in PostgreSQL keeps the contract", arguments: StoreContract.checks)
  func contract(check: StoreCheck) throws {
    try check.run(on: Cluster.store())
  }
}
