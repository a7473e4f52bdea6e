/// The exact value of a JSON number's text, when it is an integer.
enum JSONNumber {
  enum Integer: Equatable {
    case value(negative: Bool, magnitude: UInt64)
    case tooLarge
    case notIntegral
  }

  /// Also of texts such as `3.0` and `1e3`.
  static func integer(_ text: Bytes) -> Integer {
    unsafe text.withUnsafeBytes { raw in
      var magnitude: UInt64 = 0
      var overflow = false
      // Zeros that count only if another digit follows.
      var zeros = 0
      var fractionDigits = 0
      var inFraction = false
      var i = 0
      let negative = unsafe raw.first == 0x2D
      if negative { i = 1 }
      while i < raw.count, unsafe raw[i] | 0x20 != 0x65 {
        let byte = unsafe raw[i]
        i += 1
        if byte == 0x2E {
          inFraction = true
          continue
        }
        if inFraction { fractionDigits += 1 }
        if byte == 0x30 {
          zeros += 1
        } else {
          shift(&magnitude, by: zeros + 1, &overflow)
          zeros = 0
          let sum = magnitude.addingReportingOverflow(UInt64(byte - 0x30))
          magnitude = sum.partialValue
          overflow = overflow || sum.overflow
        }
      }
      if magnitude == 0 && !overflow { return .value(negative: negative, magnitude: 0) }
      let scale = unsafe exponent(raw, from: i + 1) - fractionDigits + zeros
      if scale < 0 { return .notIntegral }
      shift(&magnitude, by: scale, &overflow)
      return overflow ? .tooLarge : .value(negative: negative, magnitude: magnitude)
    }
  }

  private static func shift(_ magnitude: inout UInt64, by digits: Int, _ overflow: inout Bool) {
    if magnitude == 0 { return }
    for _ in 0..<min(digits, 20) {
      let product = magnitude.multipliedReportingOverflow(by: 10)
      magnitude = product.partialValue
      overflow = overflow || product.overflow
    }
  }

  /// Cut at a size that no number of digits in memory makes up for.
  private static func exponent(_ raw: UnsafeRawBufferPointer, from start: Int) -> Int {
    var value = 0
    var negative = false
    for i in start..<max(start, raw.count) {
      let byte = unsafe raw[i]
      if byte == 0x2D { negative = true }
      guard byte &- 0x30 < 10 else { continue }
      value = min(value * 10 + Int(byte - 0x30), 1 << 50)
    }
    return negative ? -value : value
  }
}
