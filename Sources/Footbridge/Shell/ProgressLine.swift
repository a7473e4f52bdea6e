import AgentRuntime
import JSON

/// A line about an event for somebody who watches.
enum ProgressLine {
  static func text(for type: String, _ data: CarriedJSON) -> String? {
    func word(_ name: String) -> String { data[name]?.stringValue ?? "" }
    func number(_ name: String) -> Int { data[name]?.intValue ?? 0 }
    switch type {
    case "tool.started":
      let attempt = number("attempt") > 1 ? " (attempt \(number("attempt")))" : ""
      return "\(word("name")): started\(attempt) \(arguments(data["arguments"], most: 100))"
    case "tool.completed":
      let time = VisibleText.duration(milliseconds: number("durationMs"))
      guard data["isError"]?.boolValue == true else { return "\(word("name")): done in \(time)" }
      return "\(word("name")): failed after \(time): \(firstText(of: data["content"]))"
    case "approval.requested": return "\(word("name")): needs approval \(arguments(data["arguments"], most: 100))"
    case "approval.decided":
      let why = data["reason"].map { ": " + firstText($0) } ?? ""
      let who = word("by") == "expiry" ? ", nobody decided in time" : word("by") == "scope" ? ", as decided before" : ""
      return "\(word("name")): \(word("decision") == "approve" ? "approved" : "denied")\(who)\(why)"
    case "input.requested": return "the model asks: \(data["message"].map(firstText) ?? "")"
    case "input.answered": return "the user's answer: \(word("action"))"
    case "model.retried":
      let time = VisibleText.duration(milliseconds: number("retryAfterMs"))
      return "the model call failed (\(word("reason"))); attempt \(number("attempt") + 1) in \(time)"
    case "limit.warning": return "limit \(word("limit")): \(number("used")) of \(number("max")) used"
    case "tool.resultRejected": return "a result of call \(word("callId")) was refused: \(word("verdict"))"
    default: return nil
    }
  }

  /// The arguments of a call on one line.
  static func arguments(_ value: CarriedJSON?, most: Int) -> String {
    guard let value else { return "" }
    return VisibleText.line(value["$blob"] != nil ? value["preview"]?.stringValue ?? "" : value.bytes.string, most: most)
  }

  private static func firstText(of content: CarriedJSON?) -> String {
    content?.elements.first?["text"].map(firstText) ?? ""
  }

  /// A text, or the beginning of one that is stored by itself.
  private static func firstText(_ text: CarriedJSON) -> String {
    VisibleText.line(text.stringValue ?? text["preview"]?.stringValue ?? "", most: 200)
  }
}
