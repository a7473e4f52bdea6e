import AgentRuntime
import JSON

/// Who put the objects with a member `$blob` into a message before it is fitted.
///
/// Their shape does not say it: a model, a server or a client can make up an object that looks like a reference in all.
enum BlobNaming {
  /// The log: what was carried and holds such a member went into a blob when it was stored.
  case logged
  /// The bridge put in references to these blobs; all else is what somebody else's values hold.
  case carried(besides: Set<ULID>)

  /// Nothing in it is a reference.
  static let none = BlobNaming.carried(besides: [])

  /// The reference that an object is; nil for what only looks like one.
  func reference(_ json: CarriedJSON) -> BlobReference? {
    guard let reference = BlobReference(wire: json) else { return nil }
    return switch self {
    case .logged: reference
    case .carried(let besides): besides.contains(reference.id) ? reference : nil
    }
  }

  /// Whether an object in it has a member `$blob` and is no reference of ours.
  func isMistakable(_ json: CarriedJSON) -> Bool {
    guard json.holdsMember("$blob") else { return false }
    if json.hasMember("$blob") { return reference(json) == nil }
    var found = false
    json.forEachMember { _, value in found = found || isMistakable(value) }
    json.forEachElement { found = found || isMistakable($0) }
    return found
  }
}
