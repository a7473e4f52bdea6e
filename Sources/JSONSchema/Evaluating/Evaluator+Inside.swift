extension Evaluator {
  /// Keywords whose subschemas look at the members of an object.
  mutating func holdsInside(_ rule: Rule, _ node: SchemaNode, _ members: Members, _ evaluated: inout Evaluated) -> Bool {
    switch rule.check {
    case .members(let rules): return holds(rules, node, members, &evaluated)
    case .names(let names): return fitsNames(names, rule, node, members)
    case .unevaluatedProperties(let rest):
      guard !evaluated.allMembers, spend(members.count) else { return stopped == nil }
      var fitsAll = true
      for (place, member) in members.all.enumerated() where !evaluated.members.contains(place) {
        if fitsRest(rest, member, node, rule.keyword, []) { continue }
        fitsAll = false
        if isFinished { return false }
      }
      evaluated.allMembers = true
      return fitsAll
    default: return true
    }
  }

  private mutating func holds(_ rules: MemberRules, _ node: SchemaNode, _ members: Members, _ evaluated: inout Evaluated) -> Bool {
    var fitsAll = true
    for (place, member) in members.all.enumerated() {
      guard spend(1 + member.name.utf8Count / 64) else { return false }
      var isNamed = false
      var fitsHere = true
      if let schema = rules.named[member.name] {
        isNamed = true
        fitsHere = fits(schema, member)
      }
      for (pattern, schema) in rules.patterns where matches(pattern, member.name, node, "patternProperties") {
        isNamed = true
        if fitsHere || !isFinished { fitsHere = fits(schema, member) && fitsHere }
      }
      guard stopped == nil else { return false }
      if !isNamed, let additional = rules.additional {
        isNamed = true
        fitsHere = fitsRest(additional, member, node, "additionalProperties", rules.names)
      }
      if isNamed, schema.tracksEvaluated { evaluated.members.insert(place) }
      if fitsHere { continue }
      fitsAll = false
      if isFinished { return false }
    }
    return fitsAll
  }

  private mutating func fits(_ schema: Int, _ member: Members.Member) -> Bool {
    path.append(.name(member.name))
    defer { path.removeLast() }
    let about = subject
    subject = nil
    defer { subject = about }
    var inside = Evaluated()
    return fits(schema, member.value, &inside)
  }

  /// A member that no other rule names: where none is allowed, the failure says which are.
  private mutating func fitsRest(
    _ rest: Int, _ member: Members.Member, _ node: SchemaNode, _ keyword: String, _ names: [ExactString]
  ) -> Bool {
    guard case .never = schema.nodes[rest].body else { return fits(rest, member) }
    guard spend(1) else { return false }
    fail(node, keyword) { subject in
      "\(Words.quote(member.name.text)) is not allowed at \(subject)" + (names.isEmpty ? "" : ", only \(Words.names(names))")
    }
    return false
  }

  private mutating func fitsNames(_ names: Int, _ rule: Rule, _ node: SchemaNode, _ members: Members) -> Bool {
    var fitsAll = true
    let place = collecting ? Words.place(instancePointer) : ""
    for member in members.all {
      guard spend(1 + member.name.utf8Count / 64) else { return false }
      let about = subject
      if collecting { subject = "the name \(Words.quote(member.name.text)) at \(place)" }
      defer { subject = about }
      var inside = Evaluated()
      if fits(names, .string(member.name), &inside) { continue }
      fitsAll = false
      if isFinished { return false }
    }
    return fitsAll
  }

  /// Keywords whose subschemas look at the elements of an array.
  mutating func holdsInside(_ rule: Rule, _ node: SchemaNode, _ elements: Value.Elements, _ evaluated: inout Evaluated) -> Bool {
    switch rule.check {
    case .elements(let rules):
      let prefix = min(rules.prefix.count, elements.count)
      evaluated.elements = max(evaluated.elements, rules.rest == nil ? prefix : elements.count)
      var fitsAll = true
      for (place, element) in elements.all.enumerated() {
        guard let schema = place < prefix ? rules.prefix[place] : rules.rest else { break }
        if fits(schema, element, at: place) { continue }
        fitsAll = false
        if isFinished { return false }
      }
      return fitsAll
    case .contains(let schema, let least, let most):
      return contains(schema, least, most, rule, node, elements, &evaluated)
    case .unevaluatedItems(let rest):
      var fitsAll = true
      for (place, element) in elements.all.enumerated().dropFirst(evaluated.elements) where !evaluated.otherElements.contains(place) {
        if fits(rest, element, at: place) { continue }
        fitsAll = false
        if isFinished { return false }
      }
      evaluated.elements = elements.count
      return fitsAll
    default: return true
    }
  }

  private mutating func fits(_ schema: Int, _ element: Value, at place: Int) -> Bool {
    path.append(.index(place))
    defer { path.removeLast() }
    let about = subject
    subject = nil
    defer { subject = about }
    var inside = Evaluated()
    return fits(schema, element, &inside)
  }

  private mutating func contains(
    _ schema: Int, _ least: Int, _ most: Int?, _ rule: Rule, _ node: SchemaNode, _ elements: Value.Elements, _ evaluated: inout Evaluated
  ) -> Bool {
    var found = 0
    for (place, element) in elements.all.enumerated() where quietly({ $0.fits(schema, element, at: place) }) {
      found += 1
      if self.schema.tracksEvaluated {
        evaluated.otherElements.insert(place)
      } else if most == nil, found >= least {
        return true
      }
    }
    guard stopped == nil else { return false }
    if found < least {
      fail(node, rule.keyword) { "\($0) must have at least \(Words.count(least, "element")) that fit (contains), but has \(found)" }
      return false
    }
    if let most, found > most {
      fail(node, rule.keyword) { "\($0) must have at most \(Words.count(most, "element")) that fit (contains), but has \(found)" }
      return false
    }
    return true
  }
}
