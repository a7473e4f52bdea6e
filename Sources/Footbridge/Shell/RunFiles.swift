import AgentRuntime
import JSON
import POSIXSupport

/// The params of a run from the files of a command line, and which of their places came from which file.
struct RunFiles {
  /// An object with `agent` or `agentId`, and `tools`, as `run.start` has them.
  let params: CarriedJSON
  /// The agent, when it is one of the store or of `--agents`.
  let agentID: String?
  private let agentFile: String?
  private let givesModel: Bool
  private var tools: [(file: String, pointer: String)] = []

  /// - Throws: usage, naming the file that cannot be read or does not hold what it should.
  init(agent: String?, model: String?, tools toolFiles: [String]) throws(StartupError) {
    agentID = agent.flatMap { Self.isID($0) ? $0 : nil }
    let agentFile = agentID == nil ? agent : nil
    self.agentFile = agentFile
    givesModel = model != nil
    guard agent != nil || model != nil else {
      throw StartupError(status: .usage, message: "which model? Give --model PROVIDER:NAME, or --agent FILE")
    }
    if let agentID, model != nil {
      throw StartupError(status: .usage, message: "'\(VisibleText.shown(agentID))' is no file: --model is for agents in files, not for ids")
    }
    var writer = JSONWriter(capacity: 1024)
    writer.beginObject()
    if let agentID {
      writer.member("agentId", agentID)
    } else {
      try Self.write(agentFile, model: model, to: &writer)
    }
    writer.key("tools")
    writer.beginArray()
    for file in toolFiles {
      let json = try Self.json(in: file)
      switch json.kind {
      case .object:
        tools.append((file, ""))
        writer.value(json)
      case .array:
        for (index, tool) in json.elements.enumerated() {
          tools.append((file, "/\(index)"))
          writer.value(tool)
        }
      default: throw Self.wrong(file, "must hold a Tool, a JSON object, or a list of them")
      }
    }
    writer.endArray()
    writer.endObject()
    params = CarriedJSON(trusted: writer.finish())
  }

  /// What is no file's name, and no file's, is an id.
  private static func isID(_ name: String) -> Bool {
    guard !name.contains("/"), !name.hasSuffix(".json") else { return false }
    do throws(SystemError) {
      _ = try FileReading.stamp(of: name)
      return false
    } catch { return true }
  }

  private static func write(_ agentFile: String?, model: String?, to writer: inout JSONWriter) throws(StartupError) {
    writer.key("agent")
    writer.beginObject()
    if let agentFile {
      let agent = try json(in: agentFile)
      guard agent.kind == .object else { throw wrong(agentFile, "must hold an Agent, a JSON object") }
      agent.forEachMember { name, value in
        if name == "model", model != nil { return }
        writer.key(name)
        writer.value(value)
      }
    }
    writer.member("model", ifPresent: model)
    writer.endObject()
  }

  static func json(in file: String) throws(StartupError) -> CarriedJSON { try json(try contents(of: file), from: file) }

  static func contents(of file: String) throws(StartupError) -> Bytes {
    do throws(SystemError) { return Bytes(try FileReading.contents(of: file)) } catch { throw wrong(file, error.text) }
  }

  static func json(_ text: Bytes, from name: String) throws(StartupError) -> CarriedJSON {
    do throws(JSONError) { return try CarriedJSON(validating: text) } catch { throw wrong(name, "\(error.located(in: text))") }
  }

  private static func wrong(_ file: String, _ message: String) -> StartupError {
    StartupError(status: .usage, message: "\(file): \(message)")
  }

  // MARK: Places

  /// An error about the params as one about a file or an option.
  func located(_ error: RuntimeError) -> StartupError {
    if let agentID, error.kind == .agentNotFound {
      return StartupError(status: .usage, message: "--agent: there is no file and no agent '\(VisibleText.shown(agentID))'")
    }
    guard let place = error.pointer.flatMap(place(of:)) else { return StartupError(error) }
    return StartupError(status: ExitStatus(error.kind), message: "\(place): \(error.message)")
  }

  /// Where in which file a pointer into the params points; nil for one that does not point there.
  func place(of pointer: String) -> String? {
    let steps = pointer.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
    switch steps.first {
    case "agent":
      guard let agentFile, !givesModel || pointer != "/agent/model" else { return "--model" }
      let rest = steps.dropFirst().map { "/" + $0 }.joined()
      return rest.isEmpty ? agentFile : "\(agentFile): \(rest)"
    case "tools":
      guard let index = steps.dropFirst().first.flatMap({ Int($0) }), tools.indices.contains(index) else { return nil }
      let rest = tools[index].pointer + steps.dropFirst(2).map { "/" + $0 }.joined()
      return rest.isEmpty ? tools[index].file : "\(tools[index].file): \(rest)"
    default: return nil
    }
  }
}
