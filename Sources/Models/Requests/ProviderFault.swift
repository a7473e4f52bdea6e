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
    let error = head.contentCoding.map { ErrorBody(coding: $0) } ?? ErrorBody(body)
    let id = head.first("request-id") ?? head.first("x-request-id") ?? error.requestID
    self.init(.refused, error.words, requestID: id)
    status = head.status
    retryAfterMilliseconds = RetryAfter.milliseconds(head, now: now)
    switch head.status {
    // A quota that is used up is no higher for waiting a few seconds.
    case 429 where error.tellsEmptyPurse: kind = .unavailable
    case let status where Self.mayPass(status): kind = .passing
    case 300..<400:
      words = "it redirects, which is not followed"
    default: kind = error.tellsOverflow ? .contextOverflow : .refused
    }
  }

  /// Whether another attempt may be answered otherwise.
  private static func mayPass(_ status: Int) -> Bool { status == 408 || status == 409 || status == 429 || status >= 500 }

  /// An error that came inside an answer with status 200.
  init(inAnswer value: CarriedJSON) { self.init(inAnswer: ErrorBody(value)) }

  init(inAnswer error: ErrorBody) {
    let words = error.words
    self.init(Self.kind(of: error), words.isEmpty ? "an error without a message" : words, requestID: error.requestID)
  }

  /// By the names that the services give: those that are not known count as passing, since the service had taken the request.
  private static func kind(of error: ErrorBody) -> Kind {
    if error.tellsOverflow { return .contextOverflow }
    if error.tellsEmptyPurse { return .unavailable }
    for name in [error.code, error.type].compactMap(\.self) {
      if let status = Int(name) {
        if mayPass(status) { return .passing }
        if status >= 400 { return .refused }
      }
      if refusals.contains(name) { return .refused }
    }
    return .passing
  }

  /// https://platform.claude.com/docs/en/api/errors, https://platform.openai.com/docs/guides/error-codes, and the codes of
  /// openai-python, src/openai/types/responses/response_error.py.
  private static let refusals: Set<String> = [
    "invalid_request_error", "authentication_error", "permission_error", "not_found_error", "billing_error",
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
    // The proxy wants credentials, or forbids the place: as if the server had said so.
    case .proxyRefused(let status): self.init(Self.mayPass(status) ? .passing : .refused, failure.message)
    case .libraryMissing, .closed: self.init(.unavailable, failure.message)
    case .tooLarge: self.init(.unusable, failure.message)
    }
  }
}
