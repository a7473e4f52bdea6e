import BridgeProtocol
import JSON

/// What is wrong with an option; goes on from its name.
struct OptionError: Error {
  var message: String
  init(_ message: String) { self.message = message }
}

/// The kinds of values that options have. An error shows what was given, and says what there could be.
enum OptionValues {
  static func word<T: RawRepresentable & CaseIterable>(_ text: String) throws(OptionError) -> T where T.RawValue == String, T: Sendable {
    if let value = T(rawValue: text) { return value }
    throw wrong(text, "must be \(choices(T.allCases.map(\.rawValue)))")
  }

  static func flag(_ text: String) throws(OptionError) -> Bool {
    switch text {
    case "true", "1", "yes", "on": return true
    case "false", "0", "no", "off", "": return false
    default: throw wrong(text, "must be true or false")
    }
  }

  static func number(_ text: String, atLeast least: Int) throws(OptionError) -> Int {
    guard let value = integer(text), value >= least else { throw wrong(text, "must be a number of at least \(least)") }
    guard value <= JSONLimits.largestInteger else { throw wrong(text, "must be a number of at most \(JSONLimits.largestInteger)") }
    return value
  }

  /// One with more digits than an integer can have counts as the largest there is, or as the smallest.
  private static func integer(_ text: String) -> Int? {
    if let value = Int(text) { return value }
    let isNegative = text.utf8.first == UInt8(ascii: "-")
    let digits = text.utf8.dropFirst(isNegative || text.utf8.first == UInt8(ascii: "+") ? 1 : 0)
    guard !digits.isEmpty, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    return isNegative ? .min : .max
  }

  static func protocolVersion(_ text: String) throws(OptionError) -> String {
    guard ProtocolVersion.known.contains(text) else { throw wrong(text, "must be \(choices(ProtocolVersion.known))") }
    return text
  }

  private static func wrong(_ text: String, _ rule: String) -> OptionError { OptionError("\(rule), not '\(VisibleText.shown(text))'") }

  /// `a, b or c`.
  private static func choices(_ words: [String]) -> String {
    guard let last = words.last, words.count > 1 else { return words.joined() }
    return words.dropLast().joined(separator: ", ") + " or " + last
  }
}
