package import JSON

/// The error member of a response.
package struct RPCError: Error, Sendable, Equatable {
  package var code: Int
  package var message: String
  package var data: CarriedJSON?

  package init(code: Int, message: String, data: CarriedJSON? = nil) {
    self.code = code
    self.message = message
    self.data = data
  }

  package var json: CarriedJSON {
    var writer = JSONWriter()
    writer.beginObject()
    writer.member("code", code)
    writer.member("message", message)
    writer.member("data", ifPresent: data)
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }
}

/// Makes the errors with which a peer answers by itself; what they carry besides the code is the owner's business.
package struct PeerErrors: Sendable {
  /// Not JSON, not UTF-8, a repeated name, or no message where one should be.
  package var parseError: @Sendable (JSONError) -> RPCError
  /// Longer, deeper or with more values than the limits allow; what it is, in words.
  package var tooLarge: @Sendable (String) -> RPCError
  package var invalidRequest: @Sendable (String) -> RPCError
  package var invalidParams: @Sendable (_ message: String, _ pointer: String) -> RPCError
  package var methodNotFound: @Sendable (_ method: String) -> RPCError
  package var internalError: @Sendable (String) -> RPCError
  /// The error in so many bytes at most, for another side that cannot read longer lines.
  package var shortened: @Sendable (_ error: RPCError, _ bytes: Int) -> RPCError

  package init(
    parseError: @escaping @Sendable (JSONError) -> RPCError,
    tooLarge: @escaping @Sendable (String) -> RPCError,
    invalidRequest: @escaping @Sendable (String) -> RPCError,
    invalidParams: @escaping @Sendable (_ message: String, _ pointer: String) -> RPCError,
    methodNotFound: @escaping @Sendable (_ method: String) -> RPCError,
    internalError: @escaping @Sendable (String) -> RPCError,
    shortened: @escaping @Sendable (_ error: RPCError, _ bytes: Int) -> RPCError = { error, _ in error }
  ) {
    self.parseError = parseError
    self.tooLarge = tooLarge
    self.invalidRequest = invalidRequest
    self.invalidParams = invalidParams
    self.methodNotFound = methodNotFound
    self.internalError = internalError
    self.shortened = shortened
  }

  /// The codes of JSON-RPC 2.0 without data: for a peer that has no protocol of its own to speak.
  package static let plain = PeerErrors(
    parseError: { RPCError(code: -32700, message: "Parse error: \($0)") },
    tooLarge: { RPCError(code: -32600, message: "Invalid Request: \($0)") },
    invalidRequest: { RPCError(code: -32600, message: "Invalid Request: \($0)") },
    invalidParams: { RPCError(code: -32602, message: "Invalid params: \($0)\($1.isEmpty ? "" : " at " + $1)") },
    methodNotFound: { _ in RPCError(code: -32601, message: "Method not found") },
    internalError: { RPCError(code: -32603, message: "Internal error: \($0)") }
  )

  /// The answer to a text that breaks JSON's rules or the limits.
  func answer(to error: JSONError) -> RPCError {
    switch error.code {
    case .tooDeep, .tooManyNodes: tooLarge(error.message)
    case .syntax, .invalidUTF8, .trailingData, .duplicateKey, .typeMismatch, .missingMember, .invalidValue: parseError(error)
    }
  }
}
