import AgentRuntime
import JSON

/// Reads the chunks of a streamed completion: https://platform.openai.com/docs/api-reference/chat-streaming
///
/// Types: openai-python, src/openai/types/chat/chat_completion_chunk.py. Much is taken that OpenAI never sends, since Ollama, vLLM, llama.cpp,
/// LM Studio and OpenRouter do: calls without id or index or with the arguments whole, reasoning beside the content, no usage, no `[DONE]`.
struct ChatTurnReader: TurnReader {
  let model: String
  private var text = StreamedText()
  private var refusal = StreamedText()
  private var calls = ChatCalls()
  private var reasoning = ChatReasoning()
  /// Of reasoning among the parts of the content, which is only shown.
  private var thinking = JoinedDeltas()
  private var usage = Usage()
  private var finish: ChatFinish?
  /// What the server says, or leaves unsaid, of an answer that it broke off.
  private var failure: ProviderFault?
  private var isDone = false

  init(model: String) { self.model = model }

  var isComplete: Bool { isDone }
  var mayEndHere: Bool { finish != nil }

  mutating func take(_ event: SSEEvent, _ signals: inout [ModelSignal]) throws(ProviderFault) {
    if event.isDone {
      guard finish != nil else { throw .passing("the stream ended before the answer did") }
      isDone = true
      return
    }
    guard let json = try json(of: event) else { return }
    var choices: CarriedJSON?
    var error: CarriedJSON?
    json.forEachMember { name, value in
      switch name {
      case "choices": choices = value
      case "usage": count(value)
      case "error": error = value.isNull ? nil : value
      // vLLM has said it like this: the members of the error beside it.
      case "object": if value.bytes == Self.errorObject { error = json }
      default: break
      }
    }
    if error != nil { throw ProviderFault(inAnswer: json) }
    choices?.forEachElement { choice in
      take(choice: choice, as: "delta", &signals)
    }
    if let failure { throw failure }
  }

  mutating func takeWhole(_ json: CarriedJSON, _ signals: inout [ModelSignal]) throws(ProviderFault) {
    if let error = json["error"], !error.isNull { throw ProviderFault(inAnswer: json) }
    guard let choices = json["choices"], choices.kind == .array else { throw .passing("it answered with JSON that is no completion") }
    if let usage = json["usage"] { count(usage) }
    choices.forEachElement { take(choice: $0, as: "message", &signals) }
    if let failure { throw failure }
    showRest(&signals)
    finish = finish ?? .natural
    isDone = true
  }

  private static let errorObject = Bytes("\"error\"")

  private mutating func take(choice: CarriedJSON, as name: StaticString, _ signals: inout [ModelSignal]) {
    var delta: CarriedJSON?
    var reason: String?
    var index = 0
    choice.forEachMember { member, value in
      switch member {
      case name: delta = value
      case "finish_reason": reason = value.stringValue
      case "index": index = value.intValue ?? 0
      default: break
      }
    }
    guard index == 0 else { return }
    delta?.forEachMember { member, value in
      switch member {
      case "content": take(content: value, &signals)
      case "refusal": show(text: refusal.append(value), &signals)
      case "reasoning_content", "reasoning": signals.show(reasoning: reasoning.add(member.text, value))
      case "reasoning_details": reasoning.add(details: value)
      case "thinking_blocks": reasoning.add(blocks: value)
      case "tool_calls":
        value.forEachElement { calls.add($0) }
        if value.kind == .object { calls.add(value) }
      case "function_call": calls.add(legacy: value)
      default: break
      }
    }
    guard let reason, !reason.isEmpty else { return }
    finish = ChatFinish(reason)
    showRest(&signals)
    guard finish == .failure else { return }
    // OpenRouter puts the error beside the reason.
    let isTold = choice["error"].map { !$0.isNull } ?? false
    failure = isTold ? ProviderFault(inAnswer: choice) : .passing("it broke the answer off (finish reason \(reason.prefix(64)))")
  }

  /// A text, or the list of parts that some servers send.
  private mutating func take(content: CarriedJSON, _ signals: inout [ModelSignal]) {
    if content.kind == .string { return show(text: text.append(content), &signals) }
    content.forEachElement { part in
      switch part["type"]?.stringValue {
      case "text": show(text: text.append(part["text"]), &signals)
      case "thinking":
        part["thinking"]?.forEachElement { signals.show(reasoning: thinking.take($0["text"]).shown) }
        signals.show(reasoning: thinking.take(part["thinking"]).shown)
      default: break
      }
    }
  }

  private mutating func show(text: String, _ signals: inout [ModelSignal]) {
    if text.isEmpty { return }
    // Reasoning that an answer follows has ended.
    showRestOfReasoning(&signals)
    signals.append(.text(text))
  }

  private mutating func showRestOfReasoning(_ signals: inout [ModelSignal]) {
    signals.show(reasoning: reasoning.showRest() + thinking.showRest())
  }

  /// The answer has ended.
  private mutating func showRest(_ signals: inout [ModelSignal]) {
    showRestOfReasoning(&signals)
    signals.show(text: text.showRest() + refusal.showRest())
  }

  /// The last figures count: some servers give them in every chunk.
  private mutating func count(_ value: CarriedJSON) {
    guard value.kind == .object else { return }
    var usage = Usage()
    usage.inputTokens = value["prompt_tokens"]?.intValue ?? 0
    usage.outputTokens = value["completion_tokens"]?.intValue ?? 0
    let details = value["prompt_tokens_details"]
    usage.cacheReadTokens = details?["cached_tokens"]?.intValue ?? 0
    usage.cacheWriteTokens = details?["cache_write_tokens"]?.intValue ?? 0
    self.usage = usage
  }

  func turn() throws(ProviderFault) -> ModelTurn {
    var builder = TurnBuilder(provider: ChatFormat.provider, model: model)
    if !calls.all.isEmpty, let notes = reasoning.notes { builder.carry(notes) }
    builder.add(text: text.inside)
    builder.add(text: refusal.inside)
    let isRefused = finish == .refusal || !refusal.isEmpty
    let isCut = finish == .cut
    if !isRefused {
      for place in calls.order {
        let call = calls.all[place]
        // What was cut off is what came last.
        builder.add(
          call: call.name, call.bytes, id: call.id, isCutOff: isCut && place == calls.all.count - 1,
          extras: PartExtras("extra_content", call.extra))
      }
    }
    return try builder.turn(stop: isRefused ? .refusal : isCut ? .cut : .natural, usage: usage)
  }
}
