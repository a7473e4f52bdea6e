/// Dates and times. Source: RFC 3339, section 5.6.
enum CalendarFormat {
  static func isDate(_ text: ArraySlice<UInt8>) -> Bool {
    guard text.count == 10, text.at(4) == 0x2D, text.at(7) == 0x2D else { return false }
    guard let year = number(text, 0, 4), let month = number(text, 5, 2), let day = number(text, 8, 2) else { return false }
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    let days = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    return (1...12).contains(month) && day >= 1 && day <= days[month - 1]
  }

  static func isDateTime(_ text: ArraySlice<UInt8>) -> Bool {
    guard text.count > 11, let mark = text.at(10), mark | 0x20 == 0x74 else { return false }
    return isDate(text.prefix(10)) && isTime(text.dropFirst(11))
  }

  static func isTime(_ text: ArraySlice<UInt8>) -> Bool {
    guard text.count >= 9, text.at(2) == 0x3A, text.at(5) == 0x3A else { return false }
    guard let hour = number(text, 0, 2), let minute = number(text, 3, 2), let second = number(text, 6, 2) else { return false }
    guard hour < 24, minute < 60, second <= 60 else { return false }
    var rest = text.dropFirst(8)
    if rest.first == 0x2E {
      let fraction = rest.dropFirst().prefix { $0.isDigit }
      guard !fraction.isEmpty else { return false }
      rest = rest.dropFirst(1 + fraction.count)
    }
    guard let offset = offsetMinutes(rest) else { return false }
    // A leap second is the last one of a day in UTC.
    return second < 60 || (hour * 60 + minute - offset + 2880) % 1440 == 1439
  }

  private static func offsetMinutes(_ text: ArraySlice<UInt8>) -> Int? {
    if text.count == 1 { return text.first.map { $0 | 0x20 } == 0x7A ? 0 : nil }
    guard text.count == 6, text.at(3) == 0x3A, let hour = number(text, 1, 2), let minute = number(text, 4, 2), hour < 24, minute < 60 else {
      return nil
    }
    switch text.first {
    case 0x2B: return hour * 60 + minute
    case 0x2D: return -(hour * 60 + minute)
    default: return nil
    }
  }

  private static func number(_ text: ArraySlice<UInt8>, _ offset: Int, _ count: Int) -> Int? {
    var value = 0
    for byte in text.dropFirst(offset).prefix(count) {
      guard byte.isDigit else { return nil }
      value = value * 10 + Int(byte - 0x30)
    }
    return value
  }
}

extension ArraySlice<UInt8> {
  /// The byte `offset` bytes after the first one.
  func at(_ offset: Int) -> UInt8? { offset < count ? self[startIndex + offset] : nil }
}
