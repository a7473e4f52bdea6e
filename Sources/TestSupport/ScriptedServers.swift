package import AgentRuntime
import JSON

/// MCP servers that the test answers, from functions or by hand.
package final class ScriptedServers: MCPServers, @unchecked Sendable {
  // Unchecked, because: a test drives all of its processes on one thread.

  /// A call that was made.
  package final class Run: RunningTool {
    package let call: MCPCall
    private let completion: @Sendable (ToolResult) -> Void
    private let isDone = Box(false)

    fileprivate init(_ call: MCPCall, _ completion: @escaping @Sendable (ToolResult) -> Void) {
      self.call = call
      self.completion = completion
    }

    package func complete(_ result: ToolResult) {
      if isDone.value { return }
      isDone.value = true
      completion(result)
    }

    package func stop() { complete(.failure("stopped")) }
  }

  private final class Session: MCPSession {
    private unowned let servers: ScriptedServers
    init(_ servers: ScriptedServers) { self.servers = servers }

    var offer: MCPOffer { servers.offer() }
    func prepare(_ completion: @escaping @Sendable (MCPOffer) -> Void) { completion(offer) }
    func end() {}

    func start(
      _ call: MCPCall, progress: @escaping @Sendable (CarriedJSON) -> Void, completion: @escaping @Sendable (ToolResult) -> Void
    ) -> any RunningTool { servers.start(call, completion) }
  }

  private let transcript: Transcript
  /// What all of them offer now.
  package var offer: () -> MCPOffer = { MCPOffer() }
  /// What a call comes to; nil leaves it to the test.
  package var answer: (MCPCall) -> ToolResult? = { _ in nil }
  package private(set) var runs: [Run] = []

  package init(transcript: Transcript) { self.transcript = transcript }

  package func check(_ servers: [String: MCPServer], at pointer: String) throws(RuntimeError) {}

  package func open(_ servers: [String: MCPServer], changed: @escaping @Sendable () -> Void) -> any MCPSession { Session(self) }

  private func start(_ call: MCPCall, _ completion: @escaping @Sendable (ToolResult) -> Void) -> Run {
    let run = Run(call, completion)
    runs.append(run)
    transcript.note("ask \(call.route.server)/\(call.route.tool) \(call.arguments.bytes.string)")
    if let result = answer(call) { run.complete(result) }
    return run
  }

  /// The last call of the tool.
  package func run(of tool: String) -> Run? { runs.last { $0.call.route.tool == tool } }
}
