/// `run.start` and its key: what was started with a key is looked for before anything else is asked about a request that has the same one.
extension RunEngine {
  /// - Parameter durable: called when the run is in the log (or was found by its key), before any of its events is published: `isNew`
  ///   tells whether this request began it.
  package func start(
    _ request: StartRequest, durable: @escaping (_ runID: ULID, _ isNew: Bool) -> Void, waiting: @escaping (WaitToken) -> Void,
    reply: @escaping RunReply
  ) {
    do throws(RuntimeError) {
      try refuseWhenEnding()
      if let key = request.idempotencyKey {
        if key.isEmpty { throw .invalidParams("must not be empty", at: "/idempotencyKey") }
        // Another one is beginning the run: this one finds it when it is in the log and the client has been told.
        if starting[key] != nil {
          starting[key]?.append { [unowned self] in start(request, durable: durable, waiting: waiting, reply: reply) }
          return
        }
        if let known = try run(withKey: key) {
          return join(known, request, durable: durable, waiting: waiting) { reply($0.noting(request.warnings)) }
        }
      }
    } catch { return reply(.failure(error)) }
    if let key = request.idempotencyKey { starting[key] = [] }
    do throws(RuntimeError) {
      let admitted = try admit(request)
      try begin(admitted, durable: durable, waiting: waiting) { reply($0.noting(admitted.warnings)) }
    } catch { couldNotBegin(request, error, durable: durable, waiting: waiting) { reply($0.noting(request.warnings)) } }
  }

  /// Another process may have been quicker with the same key: what stands in the way is then the very run that is asked for.
  func couldNotBegin(
    _ request: StartRequest, _ error: RuntimeError, durable: (ULID, Bool) -> Void, waiting: @escaping (WaitToken) -> Void,
    reply: @escaping RunReply
  ) {
    defer { hasStarted(request) }
    do throws(RuntimeError) {
      if let key = request.idempotencyKey, let known = try run(withKey: key) {
        return join(known, request, durable: durable, waiting: waiting, reply: reply)
      }
      reply(.failure(error))
    } catch { reply(.failure(error)) }
  }

  /// The run of the request is in the log, or will not be: whoever came with the same key meanwhile is next.
  func hasStarted(_ request: StartRequest) {
    guard let key = request.idempotencyKey, let behind = starting.removeValue(forKey: key) else { return }
    for start in behind { start() }
  }

  private func run(withKey key: String) throws(RuntimeError) -> ULID? {
    try read { () throws(StoreError) in try store.run(withIdempotencyKey: key) }
  }
}
