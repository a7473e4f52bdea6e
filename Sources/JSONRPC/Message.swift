import JSON

/// One message of the other side, told by its shape.
enum Message: Equatable {
  /// `params` as they came, for the method may be unknown.
  case request(RequestID, method: String, params: CarriedJSON?)
  case notification(method: String, params: CarriedJSON?)
  /// The id is nil when it is absent, null, or nothing that an id can be.
  case answer(RequestID?, Answer)
  /// Has a method, and is no request all the same; with its id, if that can be one.
  case invalid(RequestID?, String)
  /// Has neither a method nor a result nor an error.
  case shapeless(RequestID?)

  enum Answer: Equatable {
    case result(CarriedJSON)
    case error(RPCError)
    /// What is wrong with it.
    case broken(String)
  }

  /// Takes the members of an object; their names are unique.
  init(members: [(name: String, value: CarriedJSON)]) {
    var envelope = Envelope()
    for (name, value) in members {
      switch name {
      case "jsonrpc": envelope.version = value
      case "id": envelope.id = value
      case "method": envelope.method = value
      case "params": envelope.params = value
      case "result": envelope.result = value
      case "error": envelope.error = value
      default: continue
      }
    }
    self = envelope.message
  }
}

private struct Envelope {
  var version: CarriedJSON?
  var id: CarriedJSON?
  var method: CarriedJSON?
  var params: CarriedJSON?
  var result: CarriedJSON?
  var error: CarriedJSON?

  private var requestID: RequestID? { id.flatMap { RequestID($0) } }

  /// Some clients leave the version out; another one is refused.
  private var hasWrongVersion: Bool { version.map { $0.stringValue != "2.0" } ?? false }

  var message: Message {
    if method == nil, result != nil || error != nil { return .answer(requestID, answer) }
    guard let method else { return .shapeless(requestID) }
    if hasWrongVersion { return .invalid(requestID, "jsonrpc must be \"2.0\"") }
    guard let name = method.stringValue else { return .invalid(requestID, "the method must be a string") }
    guard id != nil else { return .notification(method: name, params: params) }
    guard let requestID else { return .invalid(nil, "the id must be a string or a number") }
    return .request(requestID, method: name, params: params)
  }

  private var answer: Message.Answer {
    if hasWrongVersion { return .broken("its jsonrpc is not \"2.0\"") }
    switch (result, error) {
    case (let result?, nil): return .result(result)
    case (nil, let error?): return answer(error)
    default: return .broken("it has both a result and an error")
    }
  }

  private func answer(_ error: CarriedJSON) -> Message.Answer {
    guard error.kind == .object else { return .broken("its error is not an object") }
    guard let code = error["code"]?.intValue else { return .broken("its error has no whole number as code") }
    guard let message = error["message"]?.stringValue else { return .broken("its error has no string as message") }
    return .error(RPCError(code: code, message: message, data: error["data"]))
  }
}
