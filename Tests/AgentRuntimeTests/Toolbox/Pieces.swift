import JSON

@testable import AgentRuntime

/// A tool, toolkit or augmentation from its JSON; a test that is wrong about its own pieces stops.
func piece<T: Decodable>(_ type: T.Type, _ text: String, _ carried: CarriedPaths) -> T {
  do throws(RuntimeError) { return try RunParams.read(type, json(text), at: "", carrying: carried) } catch {
    preconditionFailure("\(error) in \(text)")
  }
}

func clients(_ names: String...) -> [Tool] { names.map { client($0) } }
func client(_ name: String, _ more: String = "") -> Tool { piece([Tool].self, "[\(clientTool(name, more))]", RunParams.toolPaths)[0] }
func server(_ name: String, _ more: String = "") -> Tool { piece([Tool].self, "[\(serverTool(name, more))]", RunParams.toolPaths)[0] }

/// Members of a toolkit besides its name, description and tools are JSON, as are the members of an augmentation.
func toolkit(_ name: String, _ tools: [Tool] = [], _ more: String = "") -> Toolkit {
  var toolkit = piece(
    Toolkit.self, "{\"name\":\"\(name)\",\"description\":\"About \(name).\"\(more.isEmpty ? "" : "," + more)}", Toolkit.carriedPaths)
  toolkit.tools += tools
  return toolkit
}

func augmentation(_ members: String) -> Augmentation { piece(Augmentation.self, "{\(members)}", Augmentation.carriedPaths) }

/// Something to declare and what is to be said of it. Not Encodable: the testing library would encode it by other means than `JSONCoding`.
struct Wrong: Sendable {
  var tools: [Tool]
  var toolkits: [Toolkit]
  var complaint: String

  init(_ tools: [Tool], _ toolkits: [Toolkit], _ complaint: String) {
    self.tools = tools
    self.toolkits = toolkits
    self.complaint = complaint
  }
}

let gated = #""requiresApproval":true"#

extension Toolbox {
  /// A box with these toolkits of the run and nothing else.
  init(_ toolkits: Toolkit...) {
    self.init()
    do throws(RuntimeError) { try register(toolkits: toolkits, at: .run) } catch { preconditionFailure("\(error)") }
  }

  mutating func augment(_ members: String, isInsideResult: Bool = true) throws(RuntimeError) {
    try apply(augmentation(members), isInsideResult: isInsideResult)
  }

  var offeredNames: [String] { offered.map(\.name) }

  func requiresApproval(_ name: String) -> Bool? {
    switch offer(named: name) {
    case .plain(let tool), .hiddenChild(let tool, _): tool.requiresApproval ?? false
    default: nil
    }
  }

  /// What `body` throws, in one line; nil when it throws nothing. What throws must change nothing, and not what the model sees either.
  mutating func complaint(_ body: (inout Toolbox) throws(RuntimeError) -> Void) -> String? {
    let before = self
    do throws(RuntimeError) {
      try body(&self)
      return nil
    } catch {
      if self != before || offered != before.offered || prompts != before.prompts { return "changed, though it threw \(error.message)" }
      return "\(error.kind.name) \(error.pointer ?? "-"): \(error.message)"
    }
  }
}
