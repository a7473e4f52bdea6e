import AgentRuntime
import JSON

/// The place of a row in `log`: 31 bits of run number, 24 of position, 8 of piece.
struct LogKey {
  static let lastRun = 1 << 31 - 1
  static let lastPosition = 1 << 24 - 1

  let value: Int

  init(run: Int, position: Int) { value = run << 32 | position << 8 }

  /// The first place of the next run. A number that only a damaged row can have must not end the process.
  static func end(of run: Int) -> Int { (run &+ 1) << 32 }

  static func position(_ key: Int) -> Int { key >> 8 & lastPosition }
  static func isFirstPiece(_ key: Int) -> Bool { key & 0xFF == 0 }
}

/// How a record is spread over rows.
///
/// SQLite leaves the rest of a page empty when the next row does not fit, and gives a row of up to a page no overflow pages: records of half a page
/// and a little would take twice their size. So a record of some kilobytes is cut into equal pieces of at most a sixth of a page; one of many pages
/// wastes little as it is. Measured: at most 1.22 bytes stored for a byte of record from 2 KB on, instead of 1.91.
struct RecordPieces {
  private static let pieceBytes = 1300
  private static let wholeFrom = 32 << 10

  let count: Int
  private let each: Int

  init(_ record: LogRecord) {
    let longest = max(record.event?.count ?? 0, record.hidden?.count ?? 0)
    if longest <= Self.pieceBytes || longest >= Self.wholeFrom {
      (count, each) = (1, longest)
    } else {
      count = (longest + Self.pieceBytes - 1) / Self.pieceBytes
      each = (longest + count - 1) / count
    }
  }

  /// nil when `value` is, or has ended before this piece.
  func part(_ piece: Int, of value: Bytes?) -> Bytes? {
    guard let value else { return nil }
    if count == 1 { return value }
    let start = piece * each
    guard start < value.count || piece == 0 else { return nil }
    return value[start..<min(start + each, value.count)]
  }
}
