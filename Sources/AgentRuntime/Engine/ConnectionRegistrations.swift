/// What this connection has registered, and what of it a run has not taken yet.
///
/// Only what is registered now is kept, with the numbers of the changes that led to it: the changes themselves would grow for as long as the
/// connection lasts.
struct ConnectionRegistrations {
  /// The numbers of changes, from 1.
  struct Times {
    /// When it came, or came anew after it was unregistered.
    var came: Int
    /// When it was last registered.
    var changed: Int
  }

  private(set) var toolbox = Toolbox()
  /// How many changes there were.
  private(set) var count = 0
  private(set) var toolkits: [String: Times] = [:]
  private(set) var tools: [Tool.Key: Times] = [:]

  mutating func make(_ change: RegistrationChange) throws(RuntimeError) {
    try change.apply(to: &toolbox, at: .connection)
    count += 1
    switch change {
    case .register(let newTools, let newToolkits):
      for toolkit in newToolkits { toolkits[toolkit.name, default: Times(came: count, changed: count)].changed = count }
      for tool in newTools { tools[tool.key, default: Times(came: count, changed: count)].changed = count }
    case .unregisterTools(let names):
      for name in names {
        for target in [Tool.Target.client, .server] { tools[Tool.Key(name: name, target: target)] = nil }
      }
    case .unregisterToolkits(let names):
      for name in names { toolkits[name] = nil }
      // A toolkit takes with it the tools that joined it.
      let keys = Set(toolbox[.connection].tools.map(\.key))
      tools = tools.filter { keys.contains($0.key) }
    case .augment: break
    }
  }

  /// Brings a run's toolbox, which has taken the first `taken` changes, to where the others lead. What they register was judged when it came.
  func bring(_ box: inout Toolbox, from taken: Int) {
    guard taken < count else { return }
    let gone = takeBack(in: &box, since: taken)
    let level = toolbox[.connection]
    box[.connection].put(level.toolkits.filter { toolkits[$0.name].map { $0.changed > taken } ?? true })
    box[.connection].put(level.tools.filter { tools[$0.key].map { $0.changed > taken } ?? true || gone.contains($0.name) })
    // Of what was replaced more than once the run sees the first and the last only.
    box[.connection].keepGates(level.gates)
  }

  /// Unregisters what is not registered any more, or was not for a while: with it goes what was chosen for it.
  /// - Returns: The names of the tools that went.
  private func takeBack(in box: inout Toolbox, since taken: Int) -> Set<String> {
    do throws(RuntimeError) {
      let goneToolkits = box[.connection].toolkits.map(\.name).filter { toolkits[$0].map { $0.came > taken } ?? true }
      if !goneToolkits.isEmpty { try box.unregister(toolkits: goneToolkits, at: .connection) }
      let goneTools = Set(box[.connection].tools.filter { tools[$0.key].map { $0.came > taken } ?? true }.map(\.name))
      if !goneTools.isEmpty { try box.unregister(tools: goneTools.sorted(), at: .connection) }
      return goneTools
    } catch { preconditionFailure("what is there cannot be unregistered: \(error.message)") }
  }
}
