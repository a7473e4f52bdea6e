import AgentRuntime
import JSON

/// `text` as a value; a test that is wrong about its own JSON stops.
func json(_ text: String) -> CarriedJSON {
  do throws(JSONError) { return try CarriedJSON(validating: Bytes(text)) } catch { preconditionFailure("\(error) in \(text)") }
}

/// The params of a `run.start` that last; every argument is JSON, or members of an object.
func startParams(
  agent: String = "", agentTools: [String] = [], tools: [String] = [], limits: String? = nil, outputSchema: String? = nil, more: String = ""
) -> CarriedJSON {
  var members = ["\"agent\":{\"model\":\"scripted:x\",\"tools\":[\(agentTools.joined(separator: ","))]\(agent.isEmpty ? "" : "," + agent)}"]
  if !tools.isEmpty { members.append("\"tools\":[\(tools.joined(separator: ","))]") }
  if let limits { members.append("\"limits\":\(limits)") }
  if let outputSchema { members.append("\"outputSchema\":\(outputSchema)") }
  if !more.isEmpty { members.append(more) }
  return json("{\(members.joined(separator: ","))}")
}

/// A client tool.
func clientTool(_ name: String, _ more: String = "") -> String { tool(name, more) }

/// A server tool.
func serverTool(_ name: String, _ more: String = "") -> String { tool(name, "\"command\":[\"/bin/x\"]" + (more.isEmpty ? "" : "," + more)) }

private func tool(_ name: String, _ more: String) -> String {
  "{\"name\":\"\(name)\",\"description\":\"\",\"inputSchema\":{\"type\":\"object\"}\(more.isEmpty ? "" : "," + more)}"
}

/// What makes a tool ask before each call.
let gatedCalls = #""requiresApproval":true"#

let approved = ParentReply.result(json(#"{"decision":"approve"}"#))
let accepted = ParentReply.result(json(#"{"action":"accept","content":{"answer":"x"}}"#))

extension ParentAbilities {
  static var people: ParentAbilities {
    var abilities = ParentAbilities()
    abilities.approvals = true
    abilities.elicitation = true
    return abilities
  }
}

let idempotent = "\"annotations\":{\"idempotentHint\":true}"

extension ToolResult {
  static func structured(_ text: String) -> ToolResult {
    var result = ToolResult()
    result.structuredContent = .inline(json(text))
    return result
  }

  static var later: ToolResult {
    var result = ToolResult()
    result.deferred = true
    return result
  }
}
