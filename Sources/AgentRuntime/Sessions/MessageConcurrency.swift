package import JSON

/// What becomes of a message that comes while a turn of its branch is not ended: `agent.messageConcurrency`.
package enum MessageConcurrency: Sendable, Equatable {
  /// One after the other.
  case queue
  /// Only the newest of those that wait is run.
  case latest
  /// Those that wait become one turn, the newest's.
  case merge
  /// It is refused.
  case drop
  /// As `latest`, begun when no further message came for a while.
  case debounce(milliseconds: Int)

  package static let defaultDebounceMilliseconds = 750

  /// - Throws: `invalidParams` at `pointer`.
  package init(reading value: CarriedJSON?, at pointer: String) throws(RuntimeError) {
    guard let value, !value.isNull else {
      self = .queue
      return
    }
    let isObject = value.kind == .object
    guard let word = isObject ? value["strategy"]?.stringValue : value.stringValue else {
      throw .invalidParams("must be a strategy, or an object with one", at: isObject ? pointer + "/strategy" : pointer)
    }
    switch word {
    case "queue": self = .queue
    case "latest": self = .latest
    case "merge": self = .merge
    case "drop": self = .drop
    case "debounce":
      guard let quiet = value["debounceMs"], !quiet.isNull else {
        self = .debounce(milliseconds: Self.defaultDebounceMilliseconds)
        return
      }
      guard let milliseconds = quiet.wholeValue, milliseconds >= 0 else {
        throw .invalidParams("must be a whole number from 0 to \(JSONLimits.largestInteger)", at: pointer + "/debounceMs")
      }
      self = .debounce(milliseconds: milliseconds)
    default:
      throw .invalidParams("must be queue, latest, merge, drop or debounce", at: isObject ? pointer + "/strategy" : pointer)
    }
  }

  /// Whether a message that comes ends those that wait before it.
  var supersedes: Bool {
    switch self {
    case .latest, .debounce: true
    default: false
    }
  }

  var quietMilliseconds: Int {
    if case .debounce(let milliseconds) = self { return milliseconds }
    return 0
  }
}
