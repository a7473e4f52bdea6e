import AgentRuntime
import JSON

/// What an agent's `reasoning` means for the Messages API.
///
/// `{"type": ...}` goes out as `thinking` as it is, with an `effort` in it as `output_config`. `{"effort": E}` is adaptive thinking with that effort
/// where the model has it (from Claude 4.6 on, https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking), and a budget for the
/// models before. `{"budgetTokens": N}` is thinking with that budget, and adaptive thinking with the effort that comes nearest where the model
/// takes no budget any more (from Claude 4.7 on).
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
      if Self.isAdaptive(model, since: 7) {
        adapt(ReasoningEffort.nearest(budget), atLeast: budget)
      } else {
        fit(budget, agent.maxOutputTokens)
      }
    } else if let effort = agent.reasoningEffort, effort != "none" {
      if Self.isAdaptive(model, since: 6) { adapt(effort) } else { approximate(effort, most: agent.maxOutputTokens) }
    }
  }

  /// An effort as a budget: a share of what the agent allows, or none at all.
  private mutating func approximate(_ effort: String, most: Int?) {
    let budget = effort == "low" || effort == "minimal" ? 2048 : effort == "medium" ? 8192 : 24576
    share(budget, of: most)
  }

  /// A budget as it is given; one that leaves no room for an answer, which the service refuses, as an effort would be.
  private mutating func fit(_ budget: Int, _ most: Int?) {
    if let most, budget >= most { share(budget, of: most) } else { enable(budget) }
  }

  private mutating func share(_ budget: Int, of most: Int?) {
    let budget = min(budget, most.map { $0 / 2 } ?? budget)
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

  private mutating func adapt(_ effort: String, atLeast budget: Int = 0) {
    setting = CarriedJSON(trusted: Bytes("{\"type\":\"adaptive\"}"))
    outputConfig = Self.config(CarriedJSON(string: effort == "minimal" ? "low" : effort))
    reserve = max(Self.adaptiveReserve, budget)
  }

  private static func config(_ effort: CarriedJSON) -> CarriedJSON {
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("effort", effort)
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }

  /// Whether the name says version 4 with that minor one, or a later version, as in `claude-opus-4-6` or `claude-sonnet-5`: a date is no version.
  /// Claude Mythos has thought adaptively before it had a number.
  private static func isAdaptive(_ model: String, since minor: Int) -> Bool {
    guard model.holds("claude") else { return false }
    if model.holds("mythos") { return true }
    let numbers = model.split { !$0.isLetter && !$0.isNumber || $0 == "." }.compactMap { Int($0) }.filter { $0 < 1000 }
    guard let major = numbers.first else { return false }
    return major > 4 || (major == 4 && numbers.count > 1 && numbers[1] >= minor)
  }
}
