/// How long a provider asks to wait.
enum RetryAfter {
  /// From `retry-after-ms` (which the official SDKs prefer) or `Retry-After` in seconds or as a date; nil when there is none, or it is nonsense.
  /// - Parameter now: milliseconds since 1970.
  static func milliseconds(_ head: HTTPHead, now: Int) -> Int? {
    if let exact = head.first("retry-after-ms").flatMap(number) { return Int(exact.rounded(.up)) }
    guard let text = head.first("retry-after") else { return nil }
    if let seconds = number(text) { return Int((seconds * 1000).rounded(.up)) }
    return HTTPDate.milliseconds(text).map { max(0, $0 - now) }
  }

  /// Digits, perhaps with a fraction, of a length that can be meant.
  private static func number(_ text: String) -> Double? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count <= 2, text.utf8.count <= 16, parts[0].count <= 9,
      parts.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } })
    else { return nil }
    return Double(text)
  }
}

/// Dates of HTTP headers, in the three forms of https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7
enum HTTPDate {
  /// Milliseconds since 1970; nil for what is no date.
  static func milliseconds(_ text: String) -> Int? {
    let words = text.split { " ,-:".contains($0) }
    guard words.count >= 7 else { return nil }
    // `Sun, 06 Nov 1994 08:49:37 GMT` and `Sunday, 06-Nov-94 08:49:37 GMT`; or `Sun Nov  6 08:49:37 1994`.
    let isOld = month(words[1]) != nil
    guard let month = month(words[isOld ? 1 : 2]), let day = Int(words[isOld ? 2 : 1]), var year = Int(words[isOld ? 6 : 3]),
      let hour = Int(words[isOld ? 3 : 4]), let minute = Int(words[isOld ? 4 : 5]), let second = Int(words[isOld ? 5 : 6]),
      (1...31).contains(day), (0...23).contains(hour), (0...59).contains(minute), (0...60).contains(second), (0...9999).contains(year)
    else { return nil }
    if words[isOld ? 6 : 3].count == 2 { year += year < 70 ? 2000 : 1900 }
    return (((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000
  }

  private static func month(_ name: Substring) -> Int? {
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"].firstIndex(of: name.lowercased()).map { $0 + 1 }
  }

  /// Days from 1970-01-01 in the Gregorian calendar, whose year is taken to begin in March here, so that the leap day is its last.
  private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
    let shifted = month <= 2 ? year - 1 : year
    let era = (shifted >= 0 ? shifted : shifted - 399) / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }
}

/// When to try again.
struct RetryPolicy: Sendable {
  var maxRetries = 4
  var firstMilliseconds = 250
  var longestMilliseconds = 8000
  /// A provider that asks for more is not waited for.
  var longestAskedMilliseconds = 600_000
  /// From 0 to 1.
  var random: @Sendable () -> Double = { Double.random(in: 0..<1) }

  /// What to do after a fault, when there were `retries` before it.
  func next(after fault: ProviderFault, retries: Int) -> Next {
    guard fault.kind == .passing else { return .giveUp(nil) }
    if retries >= maxRetries { return .giveUp(nil) }
    if let asked = fault.retryAfterMilliseconds, asked > longestAskedMilliseconds {
      return .giveUp("it asks to wait for \(asked / 1000) seconds")
    }
    if let asked = fault.retryAfterMilliseconds, asked > 0 { return .retry(afterMilliseconds: asked) }
    let step = min(longestMilliseconds, firstMilliseconds << min(retries, 20))
    return .retry(afterMilliseconds: step / 2 + Int(Double(step - step / 2) * random()))
  }

  enum Next: Sendable, Equatable {
    case retry(afterMilliseconds: Int)
    case giveUp(String?)
  }
}
