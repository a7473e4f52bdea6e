import AgentRuntime
import JSON

/// Why an attempt at a turn came to nothing, and what that means for the next.
struct ProviderFault: Error, Sendable, Equatable {
  enum Kind: Sendable, Equatable {
    /// May pass: tried again.
    case passing
    /// The provider will not take this request, whenever it is sent.
    case refused
    /// The transcript is too long for the model.
    case contextOverflow
    /// No use in trying again now.
    case unavailable
    /// The answer cannot be taken, and another would be no better.
    case unusable
  }

  var kind: Kind
  /// What happened, or what the provider said: part of a sentence.
  var words: String
  /// Of an answer that is an error.
  var status: Int?
  /// What the provider asks to wait.
  var retryAfterMilliseconds: Int?
  var requestID: String?

  init(_ kind: Kind, _ words: String, requestID: String? = nil) {
    self.kind = kind
    self.words = words
    self.requestID = requestID
  }

  static func passing(_ words: String) -> ProviderFault { ProviderFault(.passing, words) }

  /// As the reason of a retry: with the request's id, for people who ask the provider about it.
  var reason: String {
    let said = [status.map { "status \($0)" }, words.isEmpty ? nil : words].compactMap(\.self).joined(separator: ": ")
    return said + suffix
  }

  private var suffix: String { requestID.map { " (request id \($0))" } ?? "" }

  /// How the run hears of it, when there were `retries` already.
  /// - Parameters:
  ///   - provider: Who is complained about.
  ///   - note: Why there is no further attempt, when that is not clear.
  func runFault(_ provider: String, retries: Int, note: String? = nil) -> RunFault {
    switch kind {
    case .passing, .unavailable:
      let tries = retries == 0 ? "" : retries == 1 ? " after 1 retry" : " after \(retries) retries"
      return RunFault(.modelUnavailable, "\(provider) is unavailable\(tries): \(reason)" + (note.map { "; \($0)" } ?? ""), retryable: true)
    case .refused, .contextOverflow:
      let place = status.map { " (status \($0))" } ?? ""
      let said = words.isEmpty ? "" : ": \(words)"
      return RunFault(kind == .refused ? .modelRejected : .modelContextOverflow, "\(provider) refused the request\(place)\(said)\(suffix)")
    case .unusable: return RunFault(.modelInvalidOutput, "\(provider)'s answer cannot be taken: \(reason)")
    }
  }
}

// MARK: Answers that are errors

extension ProviderFault {
  /// An answer with a status that is no success, by its head and as much of its body as was read.
  init(_ head: HTTPHead, body: Bytes, now: Int) {
    let error = ErrorBody(body)
    let id = head.first("request-id") ?? head.first("x-request-id") ?? error.requestID
    self.init(.refused, error.words, requestID: id)
    status = head.status
    retryAfterMilliseconds = RetryAfter.milliseconds(head, now: now)
    switch head.status {
    // A quota that is used up is no higher for waiting a few seconds.
    case 429 where error.tellsEmptyPurse: kind = .unavailable
    case 408, 409, 429, 500...: kind = .passing
    case 300..<400:
      words = "it redirects, which is not followed"
    default: kind = error.tellsOverflow ? .contextOverflow : .refused
    }
  }

  /// An error that came inside an answer with status 200.
  init(inAnswer value: CarriedJSON) {
    let error = ErrorBody(value)
    let words = error.words
    self.init(Self.kind(of: error), words.isEmpty ? "an error without a message" : words, requestID: error.requestID)
  }

  /// By the names that the services give: those that are not known count as passing, since the service had taken the request.
  private static func kind(of error: ErrorBody) -> Kind {
    if error.tellsOverflow { return .contextOverflow }
    if error.tellsEmptyPurse { return .unavailable }
    for name in [error.code, error.type].compactMap(\.self) {
      if let status = Int(name) {
        if status == 408 || status == 409 || status == 429 || status >= 500 { return .passing }
        if status >= 400 { return .refused }
      }
      if refusals.contains(name) { return .refused }
    }
    return .passing
  }

  /// https://platform.claude.com/docs/en/api/errors, https://platform.openai.com/docs/guides/error-codes, and the codes of
  /// openai-python, src/openai/types/responses/response_error.py.
  private static let refusals: Set<String> = [
    "invalid_request_error", "authentication_error", "permission_error", "not_found_error", "request_too_large", "billing_error",
    "invalid_api_key", "model_not_found", "invalid_prompt", "invalid_value", "unsupported_value", "unsupported_parameter",
    "unknown_parameter", "missing_required_parameter", "insufficient_permissions", "content_policy_violation", "cyber_policy",
    "invalid_image", "invalid_image_format", "invalid_base64_image", "invalid_image_url", "image_too_large", "image_too_small",
    "image_parse_error", "image_content_policy_violation", "invalid_image_mode", "image_file_too_large", "unsupported_image_media_type",
    "empty_image_file", "failed_to_download_image", "image_file_not_found",
  ]
}

// MARK: Answers that never came

extension ProviderFault {
  init(_ failure: HTTPFailure) {
    switch failure.kind {
    case .couldNotConnect, .connectionLost, .timedOut, .tls, .other: self.init(.passing, failure.message)
    case .libraryMissing, .closed: self.init(.unavailable, failure.message)
    case .tooLarge: self.init(.unusable, failure.message)
    }
  }
}

/// What a provider says about an error, whatever shape it says it in.
struct ErrorBody {
  private(set) var message: String?
  private(set) var type: String?
  private(set) var code: String?
  private(set) var requestID: String?
  private var isMarkup = false

  init(_ body: Bytes) {
    let json: CarriedJSON
    do throws(JSONError) { json = try CarriedJSON(validating: body) } catch {
      let text = body.string
      isMarkup = text.drop(while: \.isWhitespace).first == "<"
      message = text.isEmpty || isMarkup ? nil : text
      return
    }
    self = ErrorBody(json)
  }

  /// `{"error": {"message", "type", "code"}}`, and what stands there at other servers: a text, or its members one level higher.
  init(_ json: CarriedJSON) {
    var source = json
    if let error = json["error"] ?? json["detail"] {
      switch error.kind {
      case .object: source = error
      case .string: message = error.stringValue
      case .array: message = error.elements.first?["msg"]?.stringValue
      default: break
      }
    } else if json.kind == .string {
      message = json.stringValue
    }
    message = message ?? source["message"]?.stringValue ?? source["msg"]?.stringValue
    if source["type"]?.stringValue != "error" { type = source["type"]?.stringValue }
    code = source["code"].flatMap { $0.stringValue ?? ($0.kind == .number ? $0.bytes.string : nil) }
    requestID = json["request_id"]?.stringValue
  }

  /// For people: the name of the error and its message, of any length.
  var words: String {
    if isMarkup { return "a page of HTML" }
    let name = [code, type].compactMap(\.self).first { !$0.isEmpty && Int($0) == nil }
    return [name, message].compactMap(\.self).filter { !$0.isEmpty }.joined(separator: ": ")
  }

  var tellsEmptyPurse: Bool {
    let codes = ["insufficient_quota", "billing_hard_limit_reached"]
    return code.map(codes.contains) == true || type.map(codes.contains) == true
  }

  /// Whether it says that the input does not fit into the model's context.
  ///
  /// There is no common code. The words are those of Anthropic, OpenAI, vLLM, llama.cpp, LM Studio and OpenRouter.
  var tellsOverflow: Bool {
    let codes = ["context_length_exceeded", "context_window_exceeded", "model_context_window_exceeded", "exceed_context_size_error"]
    if let code, codes.contains(code) { return true }
    if let type, codes.contains(type) { return true }
    guard let text = message?.prefix(2000).lowercased() else { return false }
    return [
      "prompt is too long", "input is too long", "maximum context length", "exceed context limit", "exceeds the context window",
      "exceeds the available context size", "exceeds the model's context", "context length exceeded", "context window exceeded",
      "greater than the context length", "context the overflows", "context overflow",
    ].contains { text.contains($0) }
  }
}

/// Text from outside on its way into a message for people.
enum ErrorText {
  static let longest = 500

  /// One line, of bounded length.
  static func clean(_ text: String, most: Int = longest) -> String {
    var cleaned = ""
    var count = 0
    var isBlank = true
    for scalar in text.unicodeScalars {
      let isSpace = scalar.value < 0x21 || scalar.value == 0x7F
      if isSpace, isBlank { continue }
      if count == most { return cleaned + "…" }
      cleaned.unicodeScalars.append(isSpace ? " " : scalar)
      isBlank = isSpace
      count += 1
    }
    if isBlank, count > 0 { cleaned.removeLast() }
    return cleaned
  }

  /// The text with each of `secrets` taken out: a server may quote the key that it was sent.
  static func redact(_ text: String, _ secrets: [String]) -> String {
    var redacted = text
    for secret in secrets where !secret.isEmpty { redacted = redacted.split(secret).joined(separator: "[key]") }
    return redacted
  }
}

extension String {
  /// Whether `part`, which is ASCII or matched byte by byte, stands in it.
  fileprivate func contains(_ part: String) -> Bool { split(part).count > 1 }

  /// The text between the occurrences of `part`.
  fileprivate func split(_ part: String) -> [String] {
    let wanted = Array(part.utf8)
    let bytes = Array(utf8)
    var pieces: [String] = []
    var start = 0
    var at = 0
    while at + wanted.count <= bytes.count {
      if bytes[at] == wanted[0], bytes[at..<at + wanted.count].elementsEqual(wanted) {
        pieces.append(String(decoding: bytes[start..<at], as: UTF8.self))
        at += wanted.count
        start = at
      } else {
        at += 1
      }
    }
    return pieces + [String(decoding: bytes[start...], as: UTF8.self)]
  }
}
