import JSON

/// What changes the toolbox of a run: calls of toolkits and skills, augmentations in results, registrations.
extension RunMachine {
  /// Carries out a call of a toolkit or a skill, and expands the toolkit around a call of a hidden tool.
  mutating func open(_ call: ModelMessage.Call) {
    var toolbox = state.toolbox
    do throws(RuntimeError) {
      switch toolbox.offer(named: call.name) {
      case .plain, .unknown: break
      case .hiddenChild(_, let toolkit):
        try toolbox.expand(toolkit: toolkit)
        append(.toolkitExpanded(toolkit: toolkit, skill: nil))
      case .toolkit(let name):
        let text = try toolbox.expand(toolkit: name)
        if toolbox != state.toolbox { append(.toolkitExpanded(toolkit: name, skill: nil)) }
        complete(call.callID, .said(text))
      case .skill(let name, let toolkit):
        let text = try toolbox.activate(skill: name)
        if toolbox != state.toolbox { append(.toolkitExpanded(toolkit: toolkit, skill: name)) }
        complete(call.callID, .said(text))
      }
    } catch { complete(call.callID, .failure("\(call.name) could not be opened: \(error.message)")) }
  }

  /// Makes what the client sent the call's result, and applies the augmentation in it: both, or an error that says why not.
  mutating func completeFromClient(_ call: Call, _ given: ToolResult) {
    var result = checked(given, of: call.tool)
    guard case .inline(let wanted)? = given.augmentation, !result.isError || given.isError else { return complete(call.callID, result) }
    do throws(RuntimeError) {
      let augmentation = try Augmentation(reading: wanted, at: "/augmentation")
      try context.checkTools(augmentation.newTools(at: "/augmentation"))
      var toolbox = state.toolbox
      try toolbox.apply(augmentation, isInsideResult: true, pointer: "/augmentation")
      try toolbox.checkSize(after: augmentation, pointer: "/augmentation")
      complete(call.callID, result)
      append(.augmentationApplied(callID: call.callID, augmentation, shared(by: toolbox)))
    } catch {
      let place = error.pointer.map { " (\($0))" } ?? ""
      result = .failure("The augmentation in the result could not be applied: \(error.message)\(place).")
      result.augmentation = .inline(wanted)
      complete(call.callID, result)
    }
  }

  /// Takes what was registered since the last model turn into the log.
  mutating func takeChangedToolbox() {
    guard let changed = context.changedToolbox(state) else { return }
    let registered = changed.toolbox.toolkitsRegistered(since: state.toolbox)
    take(changed)
    if !registered.isEmpty { append(.toolkitsRegistered(registered)) }
  }

  /// Tells of tools and of state and context apart. One record holds the whole change, so that no log ends with half of it.
  mutating func take(_ changed: ChangedToolbox) {
    let (toolbox, changes) = changed
    var sameState = toolbox
    sameState.state = state.toolbox.state
    sameState.context = state.toolbox.context
    let changesTools = sameState != state.toolbox
    let changesState = sameState != toolbox
    if changesTools {
      append(.toolboxChanged(toolbox.json, changes))
      if changesState { append(.augmentationApplied(callID: nil, nil, shared(by: toolbox))) }
    } else if changesState {
      append(.sharedChanged(toolbox.json, changes, shared(by: toolbox)))
    } else {
      append(.changesTaken(changes))
    }
  }
}
