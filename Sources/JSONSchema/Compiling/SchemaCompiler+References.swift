import JSON

extension SchemaCompiler {
  /// Takes in what a schema is called: `$schema`, `$id`, `$anchor`, `$dynamicAnchor`.
  mutating func identify(_ node: Int, _ members: Members, isRoot: Bool) throws(SchemaError) {
    let place = nodes[node].location
    if let uri = try string("$schema", of: members, at: place) {
      guard let dialect = Vocabulary.dialect(uri) else {
        throw SchemaError(.unknownDialect, at: pointer(place, "$schema"), "the dialect \(Words.quote(uri)) is not known")
      }
      sources[node].dialect = dialect
    }
    // In draft-07 a `$ref` hides the `$id` beside it.
    let isHidden = sources[node].dialect == .draft07 && members["$ref"] != nil
    if let id = try string("$id", of: members, at: place), !isHidden { try take(id: id, of: node, isRoot: isRoot) }
    if let anchor = try string("$anchor", of: members, at: place) { try add(anchor: anchor, node, "$anchor") }
    if let anchor = try string("$dynamicAnchor", of: members, at: place) {
      try add(anchor: anchor, node, "$dynamicAnchor")
      resources[nodes[node].resource].dynamicAnchors[ExactString(anchor)] = node
    }
  }

  private mutating func string(_ keyword: String, of members: Members, at place: Int) throws(SchemaError) -> String? {
    guard let value = members[ExactString(keyword)] else { return nil }
    guard case .string(let text) = value else { throw wrong(place, keyword, "a string", value) }
    return text.text
  }

  private mutating func take(id: String, of node: Int, isRoot: Bool) throws(SchemaError) {
    let place = nodes[node].location
    if sources[node].dialect == .draft07, id.hasPrefix("#"), id.utf8.count > 1 {
      return try add(anchor: String(id.dropFirst()), node, "$id")
    }
    let resource = nodes[node].resource
    var uri = resources[resource].base.resolving(id)
    guard uri.fragment ?? "" == "" else {
      throw SchemaError(.invalidSchema, at: pointer(place, "$id"), "$id must not have a fragment: use $anchor")
    }
    uri.fragment = nil
    guard uri.document.utf8.count <= Self.longestURI else {
      throw SchemaError(.tooLarge, at: pointer(place, "$id"), "$id is longer than \(Self.longestURI) bytes")
    }
    let name = ExactString(uri.document)
    if let other = resourceNamed[name], resources[other].root != node {
      throw SchemaError(.invalidSchema, at: pointer(place, "$id"), "two schemas are called \(Words.quote(uri.document))")
    }
    if isRoot {
      resources[resource].base = uri
      resourceNamed[name] = resource
    } else {
      resourceNamed[name] = resources.count
      nodes[node].resource = resources.count
      resources.append(Resource(base: uri, root: node, rootLocation: place))
    }
  }

  private mutating func add(anchor: String, _ node: Int, _ keyword: String) throws(SchemaError) {
    let place = nodes[node].location
    let first = anchor.unicodeScalars.first
    let isPlain = anchor.unicodeScalars.allSatisfy { $0.isASCIIWord || "-.:".unicodeScalars.contains($0) }
    guard let first, first.isASCIILetter || first == "_", isPlain else {
      let message = "an anchor is a letter followed by letters, digits, '-', '_', '.' and ':'"
      throw SchemaError(.invalidSchema, at: pointer(place, keyword), message)
    }
    let name = ExactString(anchor)
    if let other = resources[nodes[node].resource].anchors.updateValue(node, forKey: name), other != node {
      throw SchemaError(.invalidSchema, at: pointer(place, keyword), "two schemas have the anchor \(Words.quote(anchor))")
    }
  }

  // MARK: - $ref

  /// The node that `reference` leads to from `node`.
  mutating func resolve(_ reference: String, from node: Int, _ keyword: String) throws(SchemaError) -> Int {
    let place = pointer(nodes[node].location, keyword)
    func unresolved(_ why: String) -> SchemaError {
      SchemaError(.unresolvedReference, at: place, "\(keyword) \(Words.quote(reference)) \(why)")
    }
    guard reference.utf8.count <= Self.longestURI else {
      throw SchemaError(.tooLarge, at: place, "\(keyword) is longer than \(Self.longestURI) bytes")
    }
    let uri = resources[nodes[node].resource].base.resolving(reference)
    let resource: Int
    if let known = resourceNamed[ExactString(uri.document)] {
      resource = known
    } else if let document = documents[uri.document] {
      resource = try addDocument(document, base: uri.document, prefix: uri.document + "#")
    } else {
      throw unresolved("leads to another document, and none is fetched")
    }
    guard let fragment = uri.decodedFragment else { throw unresolved("has a fragment that is not valid") }
    if fragment.isEmpty { return resources[resource].root }
    // By bytes, here and in `follow`: "/" and a combining mark after it are one Character.
    guard fragment.utf8.first == 0x2F else {
      guard let target = resources[resource].anchors[ExactString(fragment)] else { throw unresolved("names an anchor that is not there") }
      return target
    }
    guard let target = try follow(fragment, from: resource) else { throw unresolved("leads to nothing") }
    return target
  }

  /// Follows the JSON pointer `path` from the root of a resource; nil when nothing is there.
  private mutating func follow(_ path: String, from resource: Int) throws(SchemaError) -> Int? {
    var place = resources[resource].rootLocation
    var innermost = resources[resource].root
    guard var value = storedValue(at: place) else { return nil }
    for part in path.unicodeScalars.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
      guard let token = Self.unescape(Substring(part)) else { return nil }
      switch value {
      case .object(let members):
        guard let member = members[token] else { return nil }
        value = member
      case .array(let elements):
        guard let offset = Int(token.text), String(offset) == token.text, elements.all.indices.contains(offset) else { return nil }
        value = elements.all[offset]
      default: return nil
      }
      place = location(place, token)
      innermost = nodeAt[place] ?? innermost
    }
    let owner = nodes[innermost].resource
    return try index(value, at: place, in: owner, base: resources[owner].base, dialect: sources[innermost].dialect, depth: 0)
  }

  /// The value at a location, by walking from the root of its document.
  private func storedValue(at location: Int) -> Value? {
    var tokens: [ExactString] = []
    var place = location
    while locations[place].parent >= 0 {
      tokens.append(locations[place].token)
      place = locations[place].parent
    }
    var value = roots[place]
    for token in tokens.reversed() {
      switch value {
      case .object(let members): value = members[token]
      case .array(let elements): value = Int(token.text).flatMap { elements.all.indices.contains($0) ? elements.all[$0] : nil }
      default: return nil
      }
    }
    return value
  }

  /// A reference token of RFC 6901; nil when a `~` is followed by something else than 0 or 1.
  private static func unescape(_ token: Substring) -> ExactString? {
    guard token.utf8.contains(0x7E) else { return ExactString(String(token)) }
    var text = ""
    var rest = token.unicodeScalars
    while let scalar = rest.popFirst() {
      guard scalar == "~" else {
        text.unicodeScalars.append(scalar)
        continue
      }
      switch rest.popFirst() {
      case "0": text += "~"
      case "1": text += "/"
      default: return nil
      }
    }
    return ExactString(text)
  }

  // MARK: - Loops

  /// Subschemas that look at the same value, one inside the other.
  static let longestChain = 200

  /// Refuses references that come back to where they began at the same value, and chains of them that no one writes by hand.
  func refuseLoops() throws(SchemaError) {
    enum State { case new, open, done }
    var states = [State](repeating: .new, count: nodes.count)
    var heights = [Int](repeating: 1, count: nodes.count)
    let edges = nodes.map { node -> [Int] in
      guard case .rules(let rules) = node.body else { return [] }
      return rules.flatMap(\.check.inPlace)
    }
    for start in nodes.indices where states[start] == .new {
      // An explicit stack: a chain may be as long as there are nodes.
      var stack = [(node: start, next: 0)]
      states[start] = .open
      while let top = stack.last {
        guard top.next < edges[top.node].count else {
          states[top.node] = .done
          stack.removeLast()
          if let below = stack.last { heights[below.node] = max(heights[below.node], heights[top.node] + 1) }
          guard heights[top.node] <= Self.longestChain else {
            let message = "more than \(Self.longestChain) subschemas inside one another look at the same value"
            throw SchemaError(.tooLarge, at: pointer(nodes[top.node].location), message)
          }
          continue
        }
        stack[stack.count - 1].next += 1
        let target = edges[top.node][top.next]
        switch states[target] {
        case .new:
          states[target] = .open
          stack.append((target, 0))
        case .open:
          throw SchemaError(
            .referenceLoop, at: pointer(nodes[top.node].location),
            "leads back to \(Words.place(pointer(nodes[target].location))) without looking into the value")
        case .done: heights[top.node] = max(heights[top.node], heights[target] + 1)
        }
      }
    }
  }
}
