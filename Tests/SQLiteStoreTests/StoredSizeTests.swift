import AgentRuntime
import JSON
import TestSupport
import Testing

@testable import SQLiteStore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

@Suite struct StoredSizeTests {
  /// Bytes of database, after the checkpoint of closing, for each byte of result; a result is an event with some words around it, or from 64 KiB on a
  /// blob.
  @Test(
    "a byte of result takes at most one and a half",
    arguments: [1000, 2000, 3000, 4100, 5000, 6000, 8200, 10_000, 33_000, 100_000, 1_000_000])
  func ratio(resultBytes: Int) throws {
    let folder = try Folder()
    let store = try SQLiteStore.open(path: folder.database, synchronous: .normal, wallClock: { 1 })
    var summaries = (1...8).map { T.summary($0) }
    let results = max(10, 2_000_000 / resultBytes)
    for number in 0..<results {
      let run = number * 5 % 8
      let isBlob = resultBytes > 65_536
      let position = summaries[run].lastPosition + 1
      let event = T.pattern(isBlob ? 1200 : resultBytes + 100)
      let blobs = isBlob ? [NewBlob(id: T.id(UInt64(1000 + number)), type: .string, value: T.pattern(resultBytes))] : []
      let record = LogRecord(position: position, sequence: position, type: "tool.completed", event: event, hidden: nil)
      #expect(try StoreTrial(store: store).append(T.append([record], to: &summaries[run], blobs: blobs)) == .appended)
    }
    store.close()
    var status = stat()
    #expect(unsafe stat(folder.database, &status) == 0)
    let ratio = Double(status.st_size) / Double(results * resultBytes)
    #expect(ratio <= 1.5 && ratio >= 1, "\(ratio)")
  }
}
