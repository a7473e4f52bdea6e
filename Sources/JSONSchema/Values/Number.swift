/// A JSON number by its exact mathematical value: 1, 1.0 and 10e-1 are equal, and no digit is lost.
enum Number: Hashable, Sendable {
  /// Every integer of up to 18 digits, and no other number.
  case int(Int)
  case decimal(Decimal)

  /// A number other than 0, as 0.d₁d₂d₃… times a power of ten.
  struct Decimal: Hashable, Sendable {
    var isNegative: Bool
    /// 0 to 9 each; the first and the last are not 0. Empty only for the number 0 while it is compared.
    var digits: [UInt8]
    /// The power of ten; saturated at `Number.farthestPoint`.
    var point: Int
  }

  /// Exponents beyond this are all the same to a comparison; ten times it and one digit more are an `Int`.
  static let farthestPoint = 900_000_000_000_000_000

  /// Reads the text of a valid JSON number.
  init(_ text: some Collection<UInt8>) {
    var digits: [UInt8] = []
    var isNegative = false
    var fractionDigits = 0
    var inFraction = false
    var exponent = 0
    var exponentIsNegative = false
    var inExponent = false
    for byte in text {
      switch byte {
      case 0x2D: if inExponent { exponentIsNegative = true } else { isNegative = true }
      case 0x2B: break
      case 0x2E: inFraction = true
      case 0x65, 0x45: inExponent = true
      default:
        let digit = byte &- 0x30
        if inExponent {
          exponent = min(exponent * 10 + Int(digit), Self.farthestPoint)
        } else {
          if inFraction { fractionDigits += 1 }
          if digit != 0 || !digits.isEmpty { digits.append(digit) }
        }
      }
    }
    let point = digits.count - fractionDigits + (exponentIsNegative ? -exponent : exponent)
    self.init(isNegative: isNegative, digits: digits, point: min(max(point, -Self.farthestPoint), Self.farthestPoint))
  }

  /// `digits` has no leading 0.
  private init(isNegative: Bool, digits: [UInt8], point: Int) {
    var digits = digits
    while digits.last == 0 { digits.removeLast() }
    if digits.isEmpty {
      self = .int(0)
    } else if digits.count <= point, point <= 18 {
      var value = 0
      for place in 0..<point { value = value * 10 + (place < digits.count ? Int(digits[place]) : 0) }
      self = .int(isNegative ? -value : value)
    } else {
      self = .decimal(Decimal(isNegative: isNegative, digits: digits, point: point))
    }
  }

  /// What looking at all of its digits costs, in steps of the evaluation's budget.
  var weight: Int {
    switch self {
    case .int: 1
    case .decimal(let decimal): 1 + decimal.digits.count / 64
    }
  }

  var isInteger: Bool {
    switch self {
    case .int: true
    case .decimal(let decimal): decimal.digits.count <= decimal.point
    }
  }

  /// As a count, for `minLength` and the like: nil when it is negative or no integer; beyond `Int` it is `Int.max`.
  var count: Int? {
    switch self {
    case .int(let value): value >= 0 ? value : nil
    case .decimal(let decimal): isInteger && !decimal.isNegative ? Int.max : nil
    }
  }

  var decimal: Decimal {
    switch self {
    case .decimal(let decimal): return decimal
    case .int(let value):
      var digits = String(value.magnitude).utf8.map { $0 - 0x30 }
      let point = digits.count
      while digits.last == 0 { digits.removeLast() }
      return Decimal(isNegative: value < 0, digits: digits, point: point)
    }
  }

  /// For messages: plain where that is short, with an exponent elsewhere.
  var text: String {
    guard case .decimal(let number) = self else {
      if case .int(let value) = self { return String(value) }
      return "0"
    }
    let digits = String(decoding: number.digits.map { $0 + 0x30 }, as: UTF8.self)
    let sign = number.isNegative ? "-" : ""
    let count = number.digits.count
    let point = number.point
    // The upper bound of a range that depends on `count` must not be below it: that ends the process.
    switch point {
    case count..<max(count, 41): return sign + digits + String(repeating: "0", count: point - count)
    case 1..<max(2, count): return sign + digits.prefix(point) + "." + digits.dropFirst(point)
    case -6...0: return sign + "0." + String(repeating: "0", count: -point) + digits
    default: return sign + digits.prefix(1) + (count > 1 ? "." + digits.dropFirst() : "") + "e\(point - 1)"
    }
  }
}

extension Number: Comparable {
  static func < (a: Number, b: Number) -> Bool {
    if case .int(let x) = a, case .int(let y) = b { return x < y }
    return a.decimal < b.decimal
  }
}

extension Number.Decimal: Comparable {
  static func < (a: Self, b: Self) -> Bool {
    if a.isNegative != b.isNegative { return a.isNegative }
    return a.isNegative ? b.isSmallerInMagnitude(than: a) : a.isSmallerInMagnitude(than: b)
  }

  private func isSmallerInMagnitude(than other: Self) -> Bool {
    if digits.isEmpty || other.digits.isEmpty { return digits.isEmpty && !other.digits.isEmpty }
    if point != other.point { return point < other.point }
    return digits.lexicographicallyPrecedes(other.digits)
  }
}
