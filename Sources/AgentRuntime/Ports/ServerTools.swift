package import JSON

/// A call of a tool that runs on the bridge's side.
package struct ServerToolCall: Sendable {
  package var runID: ULID
  package var callID: ULID
  package var tool: Tool
  package var arguments: CarriedJSON
  package var attempt: Int
}

package protocol RunningTool: AnyObject, Sendable {
  /// Ends it with all that it started; its completion still comes.
  func stop()
}

package protocol ServerTools: Sendable {
  /// - Throws: `unsupportedCapability` when this bridge does not run such tools.
  func check(_ tool: Tool) throws(RuntimeError)

  /// Runs the tool. `progress` gives lines of output as they come; `completion` comes once. Both from any thread.
  func start(
    _ call: ServerToolCall, progress: @escaping @Sendable (_ stream: String, _ text: String) -> Void,
    completion: @escaping @Sendable (ToolResult) -> Void
  ) -> any RunningTool
}
