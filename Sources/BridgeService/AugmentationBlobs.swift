import AgentRuntime
import JSON

/// `{"$blob": id}` in an augmentation: a state, a patch, or the value of a context item takes the place of its name, so that it stands there as one
/// that was given.
enum AugmentationBlobs {
  static func areNamed(in augmentation: CarriedJSON) -> Bool {
    if ["updateState", "patchState"].contains(where: { augmentation[$0]?.hasMember("$blob") == true }) { return true }
    var found = false
    augmentation["addContext"]?.forEachElement { found = found || $0["value"]?.hasMember("$blob") == true }
    return found
  }

  /// - Throws: as `ToolResult.resolvingBlobs`, with the pointer.
  static func resolve(
    _ augmentation: CarriedJSON, _ outbox: Outbox, _ engine: RunEngine, at pointer: String
  ) throws(RuntimeError) -> CarriedJSON {
    // Most name none, and are not copied.
    guard areNamed(in: augmentation) else { return augmentation }
    return try augmentation.mapMembers { (name, value) throws(RuntimeError) in
      let place = "\(pointer)/\(name.text)"
      switch name.text {
      case "updateState", "patchState": return try value.resolvingBlob(outbox, engine, at: place)
      case "addContext":
        return try value.mapElements { (index, item) throws(RuntimeError) in
          try item.mapMembers { (name, value) throws(RuntimeError) in
            name == "value" ? try value.resolvingBlob(outbox, engine, at: "\(place)/\(index)/value") : value
          }
        }
      default: return value
      }
    }
  }
}
