import AgentRuntime
import CPostgres
import JSON

/// What the server answered to one query; its values are binary.
@safe final class Answer {
  private let result: OpaquePointer
  let count: Int

  /// Takes the result over.
  init(_ result: OpaquePointer) {
    unsafe self.result = unsafe result
    count = Int(unsafe cpq_ntuples(result))
  }

  deinit { unsafe cpq_clear(result) }

  func isNull(_ row: Int, _ column: Int) -> Bool { unsafe cpq_getisnull(result, Int32(row), Int32(column)) != 0 }

  /// The memory is valid for the time of the call; NULL is empty.
  func withBytes<R>(_ row: Int, _ column: Int, _ body: (UnsafeRawBufferPointer) -> R) -> R {
    let start = unsafe cpq_getvalue(result, Int32(row), Int32(column))
    let count = Int(unsafe cpq_getlength(result, Int32(row), Int32(column)))
    return unsafe body(UnsafeRawBufferPointer(start: UnsafeRawPointer(start), count: start == nil ? 0 : count))
  }

  /// A number of two, four or eight bytes.
  func optionalInt(_ row: Int, _ column: Int) -> Int? {
    isNull(row, column) ? nil : unsafe withBytes(row, column) { unsafe Self.int($0) }
  }

  func int(_ row: Int, _ column: Int) -> Int { optionalInt(row, column) ?? 0 }

  func bool(_ row: Int, _ column: Int) -> Bool { unsafe withBytes(row, column) { unsafe $0.first == 1 } }

  func text(_ row: Int, _ column: Int) -> String { unsafe withBytes(row, column) { unsafe String(decoding: $0, as: UTF8.self) } }

  func bytes(_ row: Int, _ column: Int) -> Bytes? {
    isNull(row, column) ? nil : unsafe withBytes(row, column) { unsafe Bytes(copying: $0) }
  }

  func id(_ row: Int, _ column: Int) -> ULID? {
    unsafe withBytes(row, column) { raw in
      guard raw.count == 16 else { return nil }
      let high = unsafe raw.loadUnaligned(as: UInt64.self)
      let low = unsafe raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
      return ULID(high: UInt64(bigEndian: high), low: UInt64(bigEndian: low))
    }
  }

  /// A list of numbers without NULLs.
  func ints(_ row: Int, _ column: Int) -> [Int] {
    unsafe withBytes(row, column) { raw in
      guard raw.count >= 20 else { return [] }
      let count = unsafe Self.int(UnsafeRawBufferPointer(rebasing: raw[12..<16]))
      guard raw.count == 20 + 12 * count else { return [] }
      return (0..<count).map { unsafe Self.int(UnsafeRawBufferPointer(rebasing: raw[24 + 12 * $0..<32 + 12 * $0])) }
    }
  }

  private static func int(_ raw: UnsafeRawBufferPointer) -> Int {
    switch raw.count {
    case 2: Int(Int16(bigEndian: unsafe raw.loadUnaligned(as: Int16.self)))
    case 4: Int(Int32(bigEndian: unsafe raw.loadUnaligned(as: Int32.self)))
    case 8: Int(Int64(bigEndian: unsafe raw.loadUnaligned(as: Int64.self)))
    default: 0
    }
  }
}
