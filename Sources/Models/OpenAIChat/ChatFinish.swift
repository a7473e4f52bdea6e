/// How an answer ended, by its `finish_reason`.
enum ChatFinish: Sendable, Equatable {
  case natural
  /// At a limit.
  case cut
  case refusal
  /// The server broke it off: what has come is not what the model meant to say, and no call in it may be dispatched.
  case failure

  /// A word that is not known is a natural end: servers invent words for one (`eos`, `end_turn`, `COMPLETE`, `normal`, the text of a stop
  /// sequence), and to retry each of their answers, or to refuse them, would make such a server useless. What breaks an answer off is
  /// mostly said by an error, or by no end at all.
  init(_ reason: String) {
    // Google's services add a word of their own: `content_filter: SAFETY`, `function_call_filter: MALFORMED_FUNCTION_CALL`.
    let word = reason.prefix { $0 != ":" }.lowercased()
    if Self.cuts.contains(word) {
      self = .cut
    } else if Self.refusals.contains(word) {
      self = .refusal
    } else if Self.failures.contains(word) {
      self = .failure
    } else {
      self = .natural
    }
  }

  /// OpenAI's is `length`; Mistral's `model_length` (client-python, models/chatcompletionchoice.py), Z.ai's `model_context_window_exceeded`
  /// (https://docs.z.ai/api-reference/llm/chat-completion); of a model that went round in circles, vLLM's `repetition`
  /// (vllm/v1/engine/__init__.py) and MiMo's `repetition_truncation`; `max_tokens` is Anthropic's, Cohere's and Google's own word.
  private static let cuts: Set<String> = [
    "length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded", "context_window_exceeded",
    "context_length_exceeded", "repetition", "repetition_truncation",
  ]

  /// OpenAI's is `content_filter`; Z.ai's `sensitive`; Anthropic's `refusal`, Cohere's `ERROR_TOXIC`; the others are Google's
  /// (https://ai.google.dev/api/generate-content#FinishReason).
  private static let refusals: Set<String> = [
    "content_filter", "content_filtered", "sensitive", "refusal", "error_toxic", "safety", "recitation", "blocklist", "prohibited_content",
    "spii", "image_safety",
  ]

  /// DeepSeek's is `insufficient_system_resource` (https://api-docs.deepseek.com/api/create-chat-completion), Z.ai's `network_error`,
  /// Mistral's and OpenRouter's `error` (https://openrouter.ai/docs/api-reference/overview), vLLM's and SGLang's `abort`, Cohere's `TIMEOUT`
  /// and `ERROR`; Google's are of calls that cannot be read, which another attempt mostly mends.
  private static let failures: Set<String> = [
    "error", "abort", "aborted", "cancelled", "canceled", "failed", "timeout", "network_error", "server_error", "internal_error",
    "insufficient_system_resource", "function_call_filter", "malformed_function_call", "unexpected_tool_call",
  ]
}
