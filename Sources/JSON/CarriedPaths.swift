/// Which places of a document are only carried: kept as their exact bytes, free to repeat a name, and no nodes of the document.
///
/// A pattern is a JSON pointer (RFC 6901) in which `*` stands for any element or any member, such as `/tools/*/inputSchema`.
package struct CarriedPaths: Sendable, ExpressibleByArrayLiteral {
  /// The state of a walk before the first step; nil when no place is carried.
  let root: CarriedPathNode?

  package init(_ patterns: [String]) {
    var root: CarriedPathNode?
    for pattern in patterns { root = .merge(root, .path(pattern, to: .carried)) }
    self.root = root
  }

  package init(arrayLiteral patterns: String...) { self.init(patterns) }

  private init(root: CarriedPathNode?) { self.root = root }

  package static let none = CarriedPaths(root: nil)
  package static let everything = CarriedPaths(root: .carried)

  /// The same places in a document that holds this one at `pointer`, which may contain `*` as well.
  package func nested(under pointer: String) -> CarriedPaths {
    guard let root else { return self }
    return CarriedPaths(root: .path(pointer, to: root))
  }

  /// The places of both.
  package func union(_ other: CarriedPaths) -> CarriedPaths {
    CarriedPaths(root: .merge(root, other.root))
  }
}

/// A place in the trie of patterns.
///
/// What `*` allows is merged into each named child when the trie is built, so that a step leads to one node at most.
final class CarriedPathNode: Sendable {
  let isCarried: Bool
  private let members: [(name: Bytes, node: CarriedPathNode)]
  private let any: CarriedPathNode?

  static let carried = CarriedPathNode(isCarried: true, members: [], any: nil)

  private init(isCarried: Bool, members: [(name: Bytes, node: CarriedPathNode)], any: CarriedPathNode?) {
    self.isCarried = isCarried
    self.members = members
    self.any = any
  }

  /// The chain of nodes that spells `pattern` and ends in `leaf`.
  static func path(_ pattern: String, to leaf: CarriedPathNode) -> CarriedPathNode {
    JSONPointer.tokens(pattern).reversed().reduce(leaf) { node, token in
      token == "*"
        ? CarriedPathNode(isCarried: false, members: [], any: node)
        : CarriedPathNode(isCarried: false, members: [(Bytes(token), node)], any: nil)
    }
  }

  static func merge(_ a: CarriedPathNode?, _ b: CarriedPathNode?) -> CarriedPathNode? {
    guard let a, let b else { return a ?? b }
    if a.isCarried || b.isCarried { return .carried }
    var names = a.members.map(\.name)
    names += b.members.map(\.name).filter { !names.contains($0) }
    let members = names.compactMap { name in
      merge(a.child(named: name), b.child(named: name)).map { (name, $0) }
    }
    return CarriedPathNode(isCarried: false, members: members, any: merge(a.any, b.any))
  }

  private func child(named name: Bytes) -> CarriedPathNode? {
    members.first { $0.name == name }?.node ?? any
  }

  /// The step to a member, whose unescaped name is given as bytes.
  func child(named name: UnsafeRawBufferPointer) -> CarriedPathNode? {
    for member in members where unsafe member.name.equals(name) { return member.node }
    return any
  }

  func child(at index: Int) -> CarriedPathNode? {
    members.isEmpty ? any : child(named: Bytes(String(index)))
  }
}
