import JSON

/// What a provider says about an error, whatever shape it says it in.
struct ErrorBody {
  private(set) var message: String?
  private(set) var type: String?
  private(set) var code: String?
  private(set) var requestID: String?
  /// What the body is, when there are no words in it.
  private var nature: String?

  init(_ body: Bytes) {
    let body = body.withoutByteOrderMark
    let json: CarriedJSON
    do throws(JSONError) { json = try CarriedJSON(validating: body) } catch {
      let text = body.string
      if text.drop(while: \.isWhitespace).first == "<" {
        nature = "a page of HTML"
      } else if ErrorText.isText(text) {
        message = text.isEmpty ? nil : text
      } else {
        nature = "something that is no text"
      }
      return
    }
    self = ErrorBody(json)
  }

  /// A body that cannot be read for how it is coded.
  init(coding: String) { nature = "it is compressed (Content-Encoding: \(coding)), which was not asked for" }

  /// `{"error": {"message", "type", "code"}}`, and what stands there at other servers: a text, a list of these, or its members one level higher.
  init(_ json: CarriedJSON) {
    let json = json.kind == .array ? json.elements.first ?? json : json
    message = Self.words(of: json)
    let error = json["error"] ?? json["errors"]
    let inner = error?.kind == .array ? error?.elements.first : error ?? json["detail"]
    let source = inner.flatMap { $0.kind == .object ? $0 : nil } ?? json
    if source["type"]?.stringValue != "error" { type = source["type"]?.stringValue ?? Self.status(source) }
    code = source["code"].flatMap { $0.stringValue ?? ($0.kind == .number ? $0.bytes.string : nil) }
    requestID = json["request_id"]?.stringValue
  }

  /// Where the words may be; in an answer that has several of these, the first ones count.
  private static let wordNames: [StaticString] = ["error", "errors", "detail", "message", "msg"]

  /// The words in a value of any shape, with what a validator says of the place: `{"detail": [{"msg": "Field required", "loc": ["body", "x"]}]}`,
  /// which is FastAPI's and, inside a `message`, Mistral's.
  private static func words(of value: CarriedJSON, depth: Int = 5) -> String? {
    if depth == 0 { return nil }
    switch value.kind {
    case .string: return value.stringValue.flatMap { $0.isEmpty ? nil : $0 }
    case .array:
      let all = value.elements.prefix(3).compactMap { words(of: $0, depth: depth - 1) }
      return all.isEmpty ? nil : all.joined(separator: "; ")
    case .object:
      for name in wordNames {
        guard let text = value[name.description].flatMap({ words(of: $0, depth: depth - 1) }) else { continue }
        guard let place = value["loc"]?.elements.prefix(8), !place.isEmpty else { return text }
        return text + " (" + place.map { $0.stringValue ?? $0.bytes.string }.joined(separator: ".") + ")"
      }
      return nil
    default: return nil
    }
  }

  /// Google's name of the error: `INVALID_ARGUMENT`.
  private static func status(_ source: CarriedJSON) -> String? {
    guard let status = source["status"]?.stringValue, status.utf8.allSatisfy({ $0 == 0x5F || (0x41...0x5A).contains($0) }) else {
      return nil
    }
    return status
  }

  /// For people: the name of the error and its message, of any length.
  var words: String {
    if let nature { return nature }
    let name = [code, type].compactMap(\.self).first { !$0.isEmpty && Int($0) == nil }
    return [name, message].compactMap(\.self).filter { !$0.isEmpty }.joined(separator: ": ")
  }

  var tellsEmptyPurse: Bool {
    let codes = ["insufficient_quota", "billing_hard_limit_reached"]
    return code.map(codes.contains) == true || type.map(codes.contains) == true
  }

  /// Whether it says that the input does not fit into the model's context.
  ///
  /// There is no common code. The words are those of Anthropic, OpenAI, Google, xAI, vLLM, TGI, llama.cpp, LM Studio and OpenRouter. Anthropic's
  /// `request_too_large` counts bytes, of which a shorter conversation has fewer too.
  var tellsOverflow: Bool {
    let codes = [
      "context_length_exceeded", "context_window_exceeded", "model_context_window_exceeded", "exceed_context_size_error",
      "request_too_large",
    ]
    if let code, codes.contains(code) { return true }
    if let type, codes.contains(type) { return true }
    guard let text = message?.prefix(2000).lowercased().filter({ $0 != "`" }) else { return false }
    return [
      "prompt is too long", "input is too long", "maximum context length", "exceed context limit", "exceeds the context window",
      "exceeds the available context size", "exceeds the model's context", "context length exceeded", "context window exceeded",
      "greater than the context length", "context the overflows", "context overflow",
      "maximum prompt length is", "exceeded max context length", "inputs tokens + max_new_tokens must be",
      "exceeds the maximum number of tokens allowed",
    ].contains { text.holds($0) }
  }
}
