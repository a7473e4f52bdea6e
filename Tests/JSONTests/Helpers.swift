import JSON

/// `text` as a valid value.
func value(_ text: String) throws(JSONError) -> CarriedJSON { try CarriedJSON(validating: Bytes(text)) }

/// What `body` throws; nil when it does not.
func failure(_ body: () throws(JSONError) -> Void) -> JSONError? {
  do throws(JSONError) {
    try body()
    return nil
  } catch { return error }
}

extension JSONError {
  /// Code, pointer and message on one line, for whole-value comparison.
  var summary: String { "\(code) \(pointer ?? "-") \(message)" }
}

/// Reads any value whole and keeps what it says.
indirect enum AnyValue: Decodable, Equatable {
  case null
  case bool(Bool)
  case integer(Int)
  case real(Double)
  case string(String)
  case array([AnyValue])
  case object([String: AnyValue])

  init(from decoder: any Decoder) throws {
    let place = try decoder.singleValueContainer()
    switch try place.decode(CarriedJSON.self).kind {
    case .null: self = .null
    case .bool: self = try .bool(place.decode(Bool.self))
    case .string: self = try .string(place.decode(String.self))
    case .array: self = try .array(place.decode([AnyValue].self))
    case .object: self = try .object(place.decode([String: AnyValue].self))
    case .number:
      if let integer = try? place.decode(Int.self) { self = .integer(integer) } else { self = try .real(place.decode(Double.self)) }
    }
  }
}

/// Numbers that are the same in every run.
struct Random: RandomNumberGenerator {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    // SplitMix64.
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
}
