import JSON

/// Milliseconds since 1970-01-01T00:00:00Z.
package struct Timestamp: Sendable, Hashable, Comparable {
  package var milliseconds: Int

  /// The last one that has a text: later ones are told as this.
  package static let last = Timestamp(milliseconds: 253_402_300_799_999)

  package init(milliseconds: Int) { self.milliseconds = milliseconds }

  /// The last one when the sum is later.
  package func adding(milliseconds more: Int) -> Timestamp {
    let (sum, isTooLarge) = milliseconds.addingReportingOverflow(more)
    return isTooLarge ? .last : min(Timestamp(milliseconds: sum), .last)
  }

  package static func < (a: Timestamp, b: Timestamp) -> Bool { a.milliseconds < b.milliseconds }

  /// RFC 3339, UTC, with milliseconds: `2026-11-20T10:00:00.000Z`. What lies outside the years 1970 to 9999 is told as their nearest end.
  package var text: String {
    let digits = digits
    return unsafe String(unsafeUninitializedCapacity: 24) { room in
      for index in 0..<24 { unsafe room[index] = digits[index] }
      return 24
    }
  }

  /// The characters of `text`.
  package var digits: [24 of UInt8] {
    let (days, inDay) = min(max(milliseconds, 0), Self.last.milliseconds).quotientAndRemainder(dividingBy: 86_400_000)
    // Days to civil date, after Howard Hinnant: https://howardhinnant.github.io/date_algorithms.html
    let z = days + 719_468
    let era = z / 146_097
    let dayOfEra = z - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let m = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * m + 2) / 5 + 1
    let month = m < 10 ? m + 3 : m - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    var digits: [24 of UInt8] = .init(repeating: 0)
    var place = 0
    func put(_ value: Int, _ width: Int, _ after: UInt8) {
      var rest = value
      for index in (place..<place + width).reversed() {
        digits[index] = UInt8(truncatingIfNeeded: 48 + rest % 10)
        rest /= 10
      }
      digits[place + width] = after
      place += width + 1
    }
    put(year, 4, 0x2D)
    put(month, 2, 0x2D)
    put(day, 2, 0x54)
    put(inDay / 3_600_000, 2, 0x3A)
    put(inDay / 60000 % 60, 2, 0x3A)
    put(inDay / 1000 % 60, 2, 0x2E)
    put(inDay % 1000, 3, 0x5A)
    return digits
  }
}

extension JSONWriter {
  package mutating func member(_ name: StaticString, _ time: Timestamp) {
    key(name)
    string(plain: time.digits)
  }
}
