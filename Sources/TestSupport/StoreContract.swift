package import AgentRuntime
package import JSON
import POSIXSupport

/// What every `RunStore` must do, as checks that a test target runs one by one against fresh stores.
///
/// Not written with a testing library, so that this target is an ordinary one: a check throws what it misses.
package enum StoreContract {
  package static var checks: [StoreCheck] { log + sizes + runs + lists + blobs + documents }
}

/// One sentence about stores, and how it is tried.
package struct StoreCheck: Sendable, CustomStringConvertible {
  package let description: String
  private let body: @Sendable (StoreTrial) throws -> Void

  init(_ description: String, _ body: @escaping @Sendable (StoreTrial) throws -> Void) {
    self.description = description
    self.body = body
  }

  /// - Parameter store: an empty one; it is closed afterwards.
  /// - Throws: `StoreContractFailure`, or what the store threw.
  package func run(on store: any RunStore) throws {
    defer { store.close() }
    try body(StoreTrial(store: store))
  }
}

package struct StoreContractFailure: Error, CustomStringConvertible {
  package let description: String
}

/// A store with what makes trying it short.
package struct StoreTrial {
  package let store: any RunStore

  package init(store: any RunStore) { self.store = store }

  package func expect<T: Equatable>(_ found: T, _ wanted: T, _ what: String = "", line: Int = #line) throws {
    guard found != wanted else { return }
    throw StoreContractFailure(description: "line \(line): \(what) is \(found), not \(wanted)")
  }

  /// Submits and waits for the completion, on whatever thread it comes.
  package func submit(_ batch: [Append]) throws -> [AppendResult] {
    let answer = Monitor<Result<[AppendResult], StoreError>?>(nil)
    store.submit(batch, meanwhile: nil) { result in answer.update { $0 = result } }
    let deadline = Clock.monotonicMilliseconds() + 30_000
    guard let result = answer.wait(untilMilliseconds: deadline, { $0 }) else {
      throw StoreContractFailure(description: "the batch was not completed within 30 s")
    }
    return try result.get()
  }

  package func append(_ append: Append) throws -> AppendResult { try submit([append])[0] }

  /// Creates a run with one event and answers its summary.
  @discardableResult package func create(
    _ number: UInt64, status: RunStatus = .running, _ change: (inout RunSummary) -> Void = { _ in }
  ) throws -> RunSummary {
    var summary = Self.summary(number, status: status)
    change(&summary)
    let first = Self.append([Self.event(1, 1, "{\"first\":\(number)}")], to: &summary)
    try expect(try append(first), .appended, "creating run \(number)")
    return summary
  }

  /// Adds one event to the run, with the summary as it is now.
  package func change(_ summary: inout RunSummary) throws {
    let next = Self.event(summary.lastPosition + 1, summary.lastSequence + 1, "{}")
    try expect(try append(Self.append([next], to: &summary)), .appended)
  }

  // Values.

  package static func id(_ number: UInt64) -> ULID { ULID(high: 0x0190_0000_0000_0000, low: number) }

  package static func summary(_ number: UInt64, status: RunStatus = .running) -> RunSummary {
    RunSummary(runID: id(number), status: status, createdAt: Timestamp(milliseconds: 1_700_000_000_000 + Int(number)))
  }

  package static func event(_ position: Int, _ sequence: Int, _ text: String, hidden: String? = nil) -> LogRecord {
    LogRecord(position: position, sequence: sequence, type: "tool.completed", event: Bytes(text), hidden: hidden.map { Bytes($0) })
  }

  package static func own(_ position: Int, _ text: String) -> LogRecord {
    LogRecord(position: position, sequence: nil, type: "claim", event: nil, hidden: Bytes(text))
  }

  /// The append of `records` to the run, whose summary it brings up to date.
  package static func append(_ records: [LogRecord], to summary: inout RunSummary, blobs: [NewBlob] = []) -> Append {
    let expected = summary.lastPosition
    summary.lastPosition += records.count
    summary.lastSequence = records.last(where: { $0.sequence != nil })?.sequence ?? summary.lastSequence
    return Append(expectedPosition: expected, summary: summary, records: records, blobs: blobs)
  }

  /// Bytes that differ from place to place, so that no part can be taken for another.
  package static func pattern(_ count: Int, seed: Int = 1) -> Bytes {
    guard count > 1 else { return Bytes("7")[0..<count] }
    var state = UInt64(bitPattern: Int64(seed)) &* 0x9E37_79B9_7F4A_7C15 | 1
    var buffer = ByteBuffer(capacity: count)
    buffer.append(0x22)
    for _ in 0..<count - 2 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let byte = UInt8(truncatingIfNeeded: 0x20 + state >> 33 & 0x3F)
      // Stores hand back nothing but JSON: what would end the string or escape is another letter.
      buffer.append(byte == 0x22 || byte == 0x5C ? 0x7E : byte)
    }
    buffer.append(0x22)
    return buffer.finish()
  }
}
