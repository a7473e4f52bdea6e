import AgentRuntime
import CSQLite
import JSON

/// One SQL text, prepared by its connection at the first use and kept.
@safe final class Statement {
  let sql: String
  /// Set and finalized by the connection.
  private(set) var handle: OpaquePointer?

  init(_ sql: String) { self.sql = sql }

  func finalize() {
    unsafe sqlite3_finalize(handle)
    unsafe handle = nil
  }

  func keep(_ prepared: OpaquePointer) { unsafe handle = unsafe prepared }
}

/// A value on its way into a statement.
enum SQLValue {
  case null
  case int(Int)
  case id(ULID)
  case text(String)
  /// In `Connection.run`, bound without a copy.
  case bytes(Bytes)

  static func optional(_ value: Int?) -> SQLValue { value.map { .int($0) } ?? .null }
  static func optional(_ value: ULID?) -> SQLValue { value.map { .id($0) } ?? .null }
  static func optional(_ value: Bytes?) -> SQLValue { value.map { .bytes($0) } ?? .null }

  func bind(to statement: OpaquePointer, at index: Int32) -> Int32 {
    switch self {
    case .null: return unsafe sqlite3_bind_null(statement, index)
    case .int(let value): return unsafe sqlite3_bind_int64(statement, index, Int64(value))
    case .id(let id):
      // Big-endian, so that the order of the bytes is the order of the ids.
      let words = (id.high.bigEndian, id.low.bigEndian)
      return unsafe withUnsafeBytes(of: words) { unsafe csqlite_bind_copied_blob(statement, index, $0.baseAddress, 16) }
    case .text(var text):
      return text.withUTF8 { raw in
        unsafe raw.withMemoryRebound(to: CChar.self) {
          unsafe csqlite_bind_copied_text(statement, index, $0.baseAddress, Int32($0.count))
        }
      }
    case .bytes(let bytes):
      return unsafe bytes.withUnsafeBytes { unsafe csqlite_bind_copied_blob(statement, index, $0.baseAddress, Int32($0.count)) }
    }
  }
}

/// A running query; reset when it goes, so that it holds no old snapshot open.
@safe struct Rows: ~Copyable {
  private let handle: OpaquePointer
  private let connection: Connection

  init(_ handle: OpaquePointer, of connection: Connection) {
    unsafe self.handle = unsafe handle
    self.connection = connection
  }

  deinit {
    unsafe sqlite3_reset(handle)
    unsafe sqlite3_clear_bindings(handle)
  }

  /// Goes to the next row; false at the end.
  mutating func next() throws(StoreError) -> Bool {
    switch unsafe sqlite3_step(handle) {
    case SQLITE_ROW: return true
    case SQLITE_DONE: return false
    case let result: throw connection.failure(result, doing: "reading")
    }
  }

  func int(_ column: Int32) -> Int { Int(unsafe sqlite3_column_int64(handle, column)) }

  func optionalInt(_ column: Int32) -> Int? { isNull(column) ? nil : int(column) }

  func isNull(_ column: Int32) -> Bool { unsafe sqlite3_column_type(handle, column) == SQLITE_NULL }

  func text(_ column: Int32) -> String? {
    guard let start = unsafe sqlite3_column_text(handle, column) else { return nil }
    let count = Int(unsafe sqlite3_column_bytes(handle, column))
    return unsafe String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
  }

  func bytes(_ column: Int32) -> Bytes? {
    isNull(column) ? nil : unsafe withBytes(column) { unsafe Bytes(copying: $0) }
  }

  /// The memory is valid for the time of the call; NULL is empty.
  func withBytes<R>(_ column: Int32, _ body: (UnsafeRawBufferPointer) -> R) -> R {
    let start = unsafe sqlite3_column_blob(handle, column)
    let count = Int(unsafe sqlite3_column_bytes(handle, column))
    return unsafe body(UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : count))
  }

  func ulid(_ column: Int32) -> ULID? {
    unsafe withBytes(column) { raw in
      guard raw.count == 16 else { return nil }
      let high = unsafe raw.loadUnaligned(as: UInt64.self)
      let low = unsafe raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
      return ULID(high: UInt64(bigEndian: high), low: UInt64(bigEndian: low))
    }
  }
}
