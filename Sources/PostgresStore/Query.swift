import AgentRuntime
import CPostgres
import JSON

/// One SQL text with its parameters as `$1`, `$2`, ...
struct Query: Sendable {
  let text: String
  /// What it is prepared under: made of the text, so that two programs that share a server connection never mean two texts by one name.
  let name: String

  init(_ text: String) {
    self.text = text
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    name = "footbridge_" + String(hash, radix: 16)
  }
}

/// A value on its way into a query; lists become arrays.
enum Argument {
  case int(Int?)
  case id(ULID?)
  case text(String?)
  case bytes(Bytes?)
  case ints([Int?])
  case ids([ULID?])
  case texts([String?])
  case byteStrings([Bytes?])

  /// The type's number in `pg_type`, which never changes: https://www.postgresql.org/docs/current/catalog-pg-type.html
  var type: Oid {
    switch self {
    case .int: ElementType.int.rawValue
    case .id: ElementType.id.rawValue
    case .text: ElementType.text.rawValue
    case .bytes: ElementType.bytes.rawValue
    case .ints: 1016
    case .ids: 2951
    case .texts: 1009
    case .byteStrings: 1001
    }
  }
}

private enum ElementType: Oid {
  case bytes = 17
  case int = 20
  case text = 25
  case id = 2950
}

/// The arguments of one query in the binary form that the server sends and receives values in, side by side in one piece of memory.
struct EncodedArguments: ~Copyable {
  private(set) var buffer: ByteBuffer
  /// Where each one is; nil for NULL.
  private(set) var places: [Range<Int>?] = []

  init(_ arguments: [Argument]) {
    buffer = ByteBuffer(capacity: arguments.reduce(64) { $0 + $1.roughSize })
    for argument in arguments {
      let start = buffer.count
      places.append(buffer.append(argument) ? start..<buffer.count : nil)
    }
  }
}

extension Argument {
  fileprivate var roughSize: Int {
    switch self {
    case .int, .id: 16
    case .text(let value): value?.utf8.count ?? 0
    case .bytes(let value): value?.count ?? 0
    case .ints(let list): 20 + 12 * list.count
    case .ids(let list): 20 + 20 * list.count
    case .texts(let list): list.reduce(20) { $0 + 4 + ($1?.utf8.count ?? 0) }
    case .byteStrings(let list): list.reduce(20) { $0 + 4 + ($1?.count ?? 0) }
    }
  }
}

extension ByteBuffer {
  /// - Returns: false for NULL.
  fileprivate mutating func append(_ argument: Argument) -> Bool {
    switch argument {
    case .int(let value): value.map { append(bigEndian: $0) } != nil
    case .id(let value): value.map { append($0) } != nil
    case .text(let value): value.map { append($0) } != nil
    case .bytes(let value): value.map { append($0) } != nil
    case .ints(let list): append(list, of: .int, size: { _ in 8 }, as: { $0.append(bigEndian: $1) })
    case .ids(let list): append(list, of: .id, size: { _ in 16 }, as: { $0.append($1) })
    case .texts(let list): append(list, of: .text, size: { $0.utf8.count }, as: { $0.append($1) })
    case .byteStrings(let list): append(list, of: .bytes, size: { $0.count }, as: { $0.append($1) })
    }
  }

  /// Dimensions, whether there are NULLs, the element's type, the length, the first index; then each element behind its length.
  private mutating func append<T>(
    _ list: [T?], of type: ElementType, size: (T) -> Int, as element: (inout ByteBuffer, T) -> Void
  ) -> Bool {
    append(bigEndian: Int32(list.isEmpty ? 0 : 1))
    append(bigEndian: Int32(1))
    append(bigEndian: Int32(bitPattern: type.rawValue))
    if list.isEmpty { return true }
    append(bigEndian: Int32(list.count))
    append(bigEndian: Int32(1))
    for value in list {
      guard let value else {
        append(bigEndian: Int32(-1))
        continue
      }
      append(bigEndian: Int32(size(value)))
      element(&self, value)
    }
    return true
  }

  private mutating func append(_ id: ULID) {
    append(bigEndian: id.high)
    append(bigEndian: id.low)
  }

  private mutating func append<T: FixedWidthInteger>(bigEndian value: T) {
    unsafe Swift.withUnsafeBytes(of: value.bigEndian) { unsafe append($0) }
  }
}
