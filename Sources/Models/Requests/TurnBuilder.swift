import AgentRuntime
import JSON

/// Puts a finished turn together: its text in one piece, its calls in order, and the notes for the turns after it.
struct TurnBuilder {
  enum Stop {
    case natural
    /// At a stop sequence that the agent's options name.
    case stopped
    /// By the limit of tokens.
    case cut
    case refusal
  }

  private enum Part {
    case text(bytes: Int, extras: PartExtras)
    case call(id: CarriedJSON?, extras: PartExtras)
    case carried(CarriedJSON)
  }

  let provider: String
  let model: String
  private var texts: [Bytes] = []
  private var calls: [ModelTurn.Call] = []
  private var parts: [Part] = []
  private var usedIDs: Set<Bytes> = []

  init(provider: String, model: String) {
    self.provider = provider
    self.model = model
  }

  /// - Parameter text: the inside of a JSON string.
  mutating func add(text: Bytes, extras: PartExtras = []) {
    guard !text.isEmpty else { return }
    texts.append(text)
    parts.append(.text(bytes: EscapedText.decodedCount(text), extras: extras))
  }

  /// - Parameter id: what the provider calls it; nil, or given twice: the bridge's own id counts.
  mutating func add(call name: String, _ arguments: Bytes, id: CarriedJSON?, isCutOff: Bool = false, extras: PartExtras = []) {
    // Nothing, and what models write for it.
    let isNothing = arguments.count <= 16 && ["", "null"].contains(ErrorText.clean(arguments.string))
    calls.append(ModelTurn.Call(name: name, arguments: isNothing ? Bytes() : arguments, isCutOff: isCutOff))
    let own = id.flatMap { usedIDs.insert($0.bytes).inserted ? $0 : nil }
    parts.append(.call(id: own, extras: extras))
  }

  /// Adds what is sent back as it came; it has a `type` of its own.
  mutating func carry(_ part: CarriedJSON) { parts.append(.carried(part)) }

  mutating func cutLastCall() {
    if !calls.isEmpty { calls[calls.count - 1].isCutOff = true }
  }

  /// - Throws: when there is nothing in an answer that is said to be whole: models say something, so this is a fault of the service.
  func turn(stop: Stop, usage: Usage) throws(ProviderFault) -> ModelTurn {
    if texts.isEmpty, calls.isEmpty, case .natural = stop { throw .passing("an empty answer") }
    let reason =
      switch stop {
      case .natural, .stopped: calls.isEmpty ? "end_turn" : "tool_use"
      case .cut: "max_tokens"
      case .refusal: "refusal"
      }
    return ModelTurn(
      text: CarriedJSON(quoting: texts.isEmpty ? Bytes() : texts.joined), calls: calls, usage: usage, stopReason: reason,
      providerData: notes)
  }

  /// Nothing, when plain text is all there is.
  private var notes: CarriedJSON? {
    let isPlain = parts.allSatisfy { part in
      if case .text(_, let extras) = part { extras.isEmpty } else { false }
    }
    if isPlain { return nil }
    var notes = SpokenNotes(provider: provider, model: model)
    for part in parts {
      switch part {
      case .text(let bytes, let extras): notes.text(bytes: bytes, extras: extras)
      case .call(let id, let extras): notes.call(id: id, extras: extras)
      case .carried(let part): notes.carried(part)
      }
    }
    return notes.finish()
  }
}
