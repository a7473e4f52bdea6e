/// What `multipleOf` divides by: an integer of up to 18 digits times a power of ten, so that 0.01 is 0.01.
struct Divisor: Sendable {
  static let mostDigits = 18

  let number: Number
  private let coefficient: UInt64
  private let exponent: Int

  /// - Returns: nil when `number` is not above 0 or has more than `mostDigits` significant digits.
  init?(_ number: Number) {
    let decimal = number.decimal
    guard number > .int(0), decimal.digits.count <= Self.mostDigits else { return nil }
    self.number = number
    coefficient = decimal.digits.reduce(0) { $0 * 10 + UInt64($1) }
    exponent = decimal.point - decimal.digits.count
  }

  /// What `divides` costs, in steps of the evaluation's budget: each digit is a division.
  static func weight(of value: Number) -> Int {
    if case .decimal(let decimal) = value { decimal.digits.count / 8 } else { 0 }
  }

  func divides(_ value: Number) -> Bool {
    let decimal = value.decimal
    if decimal.digits.isEmpty { return true }
    let shift = decimal.point - decimal.digits.count - exponent
    // The last digit of the value is not 0, so it is no multiple of ten times anything.
    guard shift >= 0 else { return false }
    // 18 digits: the remainder times ten fits 64 bits.
    let remainder = decimal.digits.reduce(UInt64(0)) { ($0 * 10 + UInt64($1)) % coefficient }
    return times(remainder, power(ofTen: shift)) == 0
  }

  private func times(_ a: UInt64, _ b: UInt64) -> UInt64 {
    coefficient.dividingFullWidth(a.multipliedFullWidth(by: b)).remainder
  }

  private func power(ofTen exponent: Int) -> UInt64 {
    var result = 1 % coefficient
    var square = 10 % coefficient
    var rest = exponent
    while rest > 0 {
      if rest & 1 == 1 { result = times(result, square) }
      square = times(square, square)
      rest >>= 1
    }
    return result
  }
}
