import AgentRuntime
import JSON
import JSONRPC

/// A call that somebody waits for. Belongs to the thread of the servers.
final class MCPOpenCall {
  let id: Int
  let session: Int
  let call: MCPCall
  let sink: MCPProgressSink
  /// When it was asked for.
  let madeAt: Int
  private let completion: @Sendable (ToolResult) -> Void

  /// While a request for it is out.
  var requestID: RequestID?
  /// When the last request for it was sent, and when the first.
  var sentAt = 0
  var firstSentAt: Int?
  /// When a question that may have been its own was answered last; the server could not go on with it before.
  var answeredAt = 0
  var rounds = 0
  /// What the server has asked for before it goes on (MCP 2026-07-28).
  var inputs: Inputs?

  struct Deadline {
    var at: Int
    /// Goes on after the server's name.
    var why: String
  }

  struct Inputs {
    var state: CarriedJSON?
    /// In the order of the questions; without an answer while that is awaited.
    var answers: [(key: String, answer: CarriedJSON?)]
    /// Of those that are awaited, by place.
    var awaited: [Int: any RunningTool]
  }

  init(
    id: Int, session: Int, call: MCPCall, sink: MCPProgressSink, at now: Int, completion: @escaping @Sendable (ToolResult) -> Void
  ) {
    self.id = id
    self.session = session
    self.call = call
    self.sink = sink
    madeAt = now
    self.completion = completion
  }

  var origin: MCPQuestion.Origin { MCPQuestion.Origin(runID: call.runID, callID: call.callID) }

  /// When it has taken too long; nil while it waits for somebody else's answer.
  func deadline(_ limits: MCPLimits) -> Deadline? {
    guard let firstSentAt, inputs == nil else { return nil }
    let timeout = timeout(limits)
    let (longest, overflows) = timeout.multipliedReportingOverflow(by: limits.longestCall)
    let (soonest, isFar) = max(sentAt, sink.lastAt ?? 0, answeredAt).addingReportingOverflow(timeout)
    let (latest, isFarther) = max(firstSentAt, answeredAt).addingReportingOverflow(longest)
    let silence = Deadline(at: isFar ? .max : soonest, why: "did not answer within \(timeout) ms")
    guard !overflows, !isFarther, latest < silence.at else { return silence }
    let bound = "\(limits.longestCall) times its timeout, the longest that a call may take"
    return Deadline(at: latest, why: "showed progress and did not answer within \(longest) ms, \(bound)")
  }

  /// When it has been kept too long from a server that is there.
  func waitingDeadline(_ limits: MCPLimits) -> Int {
    let (end, isFar) = madeAt.addingReportingOverflow(timeout(limits))
    return isFar ? .max : end
  }

  func failUnsent(_ limits: MCPLimits) {
    fail(
      "was not asked within \(timeout(limits)) ms: since an earlier call took too long, it has not shown that it still reads what it is sent"
    )
  }

  private func timeout(_ limits: MCPLimits) -> Int { call.timeoutMilliseconds ?? limits.callMilliseconds }

  func finish(_ result: ToolResult) {
    for question in inputs?.awaited.values.map({ $0 }) ?? [] { question.stop() }
    inputs = nil
    completion(result)
  }

  func fail(_ words: String) { finish(.failure("The MCP server '\(call.route.server)' \(words).")) }
}
