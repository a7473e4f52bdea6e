/// The values of `format` that are asserted; every other one is an annotation.
enum Format: String, Sendable, CaseIterable {
  case dateTime = "date-time"
  case date, time, email, hostname, ipv4, ipv6, uri, uuid

  func accepts(_ text: ExactString) -> Bool {
    let bytes = Array(text.text.utf8)[...]
    return switch self {
    case .dateTime: CalendarFormat.isDateTime(bytes)
    case .date: CalendarFormat.isDate(bytes)
    case .time: CalendarFormat.isTime(bytes)
    case .email: NetworkFormat.isEmail(bytes)
    case .hostname: NetworkFormat.isHostname(bytes)
    case .ipv4: NetworkFormat.isIPv4(bytes)
    case .ipv6: NetworkFormat.isIPv6(bytes)
    case .uri: URIFormat.isURI(bytes)
    case .uuid: Self.isUUID(bytes)
    }
  }

  /// For messages.
  var words: String {
    switch self {
    case .dateTime: "a date-time with an offset, such as 2026-01-31T12:00:00Z"
    case .date: "a date, such as 2026-01-31"
    case .time: "a time with an offset, such as 12:00:00Z"
    case .email: "an e-mail address"
    case .hostname: "a host name"
    case .ipv4: "an IPv4 address"
    case .ipv6: "an IPv6 address"
    case .uri: "a URI with its scheme"
    case .uuid: "a UUID, such as 2eb8aa08-aa98-11ea-b4aa-73b441d16380"
    }
  }

  /// Source: RFC 4122, section 3.
  private static func isUUID(_ text: ArraySlice<UInt8>) -> Bool {
    let groups = text.split(separator: 0x2D, omittingEmptySubsequences: false)
    return groups.map(\.count) == [8, 4, 4, 4, 12] && groups.joined().allSatisfy { $0.hexDigitValue != nil }
  }
}

extension UInt8 {
  var isDigit: Bool { self &- 0x30 < 10 }
  var isLetter: Bool { (self | 0x20) &- 0x61 < 26 }
}
