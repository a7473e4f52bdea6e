import Synchronization

/// The index of a toolbox, made when somebody first asks for it: of many changes one after the other, most are followed by the next and not by a
/// question, and to make an index takes as long as there is much to be in it.
///
/// Belongs to one state of a toolbox, and to its copies for as long as they are the same.
final class LaterIndex: Sendable {
  private let made = Mutex<ToolboxIndex?>(nil)

  var isMade: Bool { made.withLock { $0 != nil } }

  /// Two that ask at once may both make it: they come to the same.
  func index(of box: Toolbox) -> ToolboxIndex {
    if let index = made.withLock({ $0 }) { return index }
    let index = ToolboxIndex(box)
    made.withLock { $0 = index }
    return index
  }
}
