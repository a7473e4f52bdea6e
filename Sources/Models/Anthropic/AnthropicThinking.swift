import AgentRuntime
import JSON

/// What an agent's `reasoning` means for the Messages API.
///
/// `{"type": ...}` goes out as `thinking` as it is, with an `effort` in it as `output_config`. `{"budgetTokens": N}` is thinking with that budget.
/// `{"effort": E}` is adaptive thinking with that effort where the model has it (from Claude 4.6 on,
/// https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking), and a budget for the models before.
struct AnthropicThinking {
  private(set) var setting: CarriedJSON?
  private(set) var outputConfig: CarriedJSON?
  /// What `max_tokens` must be larger by, when the agent does not say how large.
  private(set) var reserve = 0

  private static let leastBudget = 1024
  private static let adaptiveReserve = 24576

  init(_ agent: Agent, model: String) {
    guard let reasoning = agent.reasoning else { return }
    if let type = reasoning["type"]?.stringValue {
      pass(reasoning, type)
    } else if let budget = agent.reasoningBudget {
      enable(budget)
    } else if let effort = agent.reasoningEffort, effort != "none" {
      if Self.isAdaptive(model) { adapt(effort) } else { approximate(effort, most: agent.maxOutputTokens) }
    }
  }

  /// An effort as a budget: a share of what the agent allows, or none at all.
  private mutating func approximate(_ effort: String, most: Int?) {
    var budget = effort == "low" || effort == "minimal" ? 2048 : effort == "medium" ? 8192 : 24576
    if let most { budget = min(budget, most / 2) }
    if budget >= Self.leastBudget { enable(budget) }
  }

  private mutating func pass(_ reasoning: CarriedJSON, _ type: String) {
    var writer = JSONWriter()
    writer.beginObject()
    reasoning.forEachMember { name, value in
      if name == "effort" {
        outputConfig = Self.config(value)
      } else {
        writer.key(escaping: name.text)
        writer.value(value)
      }
    }
    writer.endObject()
    setting = type == "disabled" ? nil : CarriedJSON(trusted: writer.finish())
    if type == "adaptive" { reserve = Self.adaptiveReserve }
    if type == "enabled" { reserve = reasoning["budget_tokens"]?.intValue ?? 0 }
  }

  private mutating func enable(_ budget: Int) {
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("type", "enabled")
    writer.member("budget_tokens", budget)
    writer.endObject()
    setting = CarriedJSON(trusted: writer.finish())
    reserve = max(0, budget)
  }

  private mutating func adapt(_ effort: String) {
    setting = CarriedJSON(trusted: Bytes("{\"type\":\"adaptive\"}"))
    outputConfig = Self.config(CarriedJSON(string: effort == "minimal" ? "low" : effort))
    reserve = Self.adaptiveReserve
  }

  private static func config(_ effort: CarriedJSON) -> CarriedJSON {
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("effort", effort)
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }

  /// Whether the name says version 4.6 or later, as in `claude-opus-4-6` or `claude-sonnet-5`: a date is no version.
  private static func isAdaptive(_ model: String) -> Bool {
    guard model.holds("claude") else { return false }
    let numbers = model.split { !$0.isLetter && !$0.isNumber || $0 == "." }.compactMap { Int($0) }.filter { $0 < 1000 }
    guard let major = numbers.first else { return false }
    return major > 4 || (major == 4 && numbers.count > 1 && numbers[1] >= 6)
  }
}
