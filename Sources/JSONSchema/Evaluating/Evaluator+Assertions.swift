extension Evaluator {
  /// `type`, `const` and `enum`.
  mutating func holdsForAny(_ rule: Rule, _ node: SchemaNode, _ value: Value) -> Bool {
    switch rule.check {
    case .type(let kinds):
      guard value.kinds.isDisjoint(with: kinds) else { return true }
      fail(node, rule.keyword, kinds: kinds) { subject in
        if kinds.contains(.integer), case .number = value { return "\(subject) must be \(kinds.words), not a number with a fraction" }
        return "\(subject) must be \(kinds.words), not \(value.kinds.words)"
      }
    case .constant(let wanted):
      guard spend(wanted.weight) else { return false }
      if value == wanted { return true }
      fail(node, rule.keyword, options: [wanted]) { "\($0) must be \(Words.options([wanted]))" }
    case .enumeration(let options):
      guard spend(options.weight(ofFinding: value)) else { return false }
      if options.contains(value) { return true }
      fail(node, rule.keyword, options: options.values) { "\($0) must be \(Words.options(options.values))" }
    default: return true
    }
    return false
  }

  mutating func holds(_ rule: Rule, _ node: SchemaNode, _ number: Number) -> Bool {
    guard spend(number.weight - 1) else { return false }
    switch rule.check {
    case .minimum(let limit):
      if number >= limit { return true }
      fail(node, rule.keyword) { "\($0) must be at least \(Words.number(limit))" }
    case .maximum(let limit):
      if number <= limit { return true }
      fail(node, rule.keyword) { "\($0) must be at most \(Words.number(limit))" }
    case .exclusiveMinimum(let limit):
      if number > limit { return true }
      fail(node, rule.keyword) { "\($0) must be more than \(Words.number(limit))" }
    case .exclusiveMaximum(let limit):
      if number < limit { return true }
      fail(node, rule.keyword) { "\($0) must be less than \(Words.number(limit))" }
    case .multipleOf(let divisor):
      guard spend(Divisor.weight(of: number)) else { return false }
      if divisor.divides(number) { return true }
      fail(node, rule.keyword) { "\($0) must be a multiple of \(divisor.number.text)" }
    default: return true
    }
    return false
  }

  mutating func holds(_ rule: Rule, _ node: SchemaNode, _ text: ExactString) -> Bool {
    switch rule.check {
    case .minLength(let limit):
      // A code point has one to four bytes.
      if text.utf8Count / 4 >= limit { return true }
      guard spend(text.utf8Count / 64) else { return false }
      let count = text.codePointCount
      if count >= limit { return true }
      fail(node, rule.keyword) { "\($0) must be at least \(Words.count(limit, "character")) long, but has \(count)" }
    case .maxLength(let limit):
      if text.utf8Count <= limit { return true }
      guard spend(text.utf8Count / 64) else { return false }
      let count = text.codePointCount
      if count <= limit { return true }
      fail(node, rule.keyword) { "\($0) must be at most \(Words.count(limit, "character")) long, but has \(count)" }
    case .pattern(let pattern):
      if matches(pattern, text, node, rule.keyword) { return true }
      if stopped == nil { fail(node, rule.keyword) { "\($0) must match the pattern \(Words.plain(Words.clip(pattern.source)))" } }
    case .format(let format):
      guard spend(text.utf8Count / 16) else { return false }
      if format.accepts(text) { return true }
      fail(node, rule.keyword) { "\($0) must be \(format.words)" }
    default: return true
    }
    return false
  }

  mutating func holds(_ rule: Rule, _ node: SchemaNode, _ elements: Value.Elements) -> Bool {
    let count = elements.count
    switch rule.check {
    case .minItems(let limit):
      if count >= limit { return true }
      fail(node, rule.keyword) { "\($0) must have at least \(Words.count(limit, "element")), but has \(count)" }
    case .maxItems(let limit):
      if count <= limit { return true }
      fail(node, rule.keyword) { "\($0) must have at most \(Words.count(limit, "element")), but has \(count)" }
    case .uniqueItems:
      guard count > 1 else { return true }
      guard spend(elements.weight) else { return false }
      var places: [Value: Int] = [:]
      for (place, element) in elements.all.enumerated() {
        guard let first = places.updateValue(place, forKey: element) else { continue }
        fail(node, rule.keyword) { "\($0) must not hold the same element twice, but elements \(first) and \(place) are equal" }
        return false
      }
      return true
    default: return true
    }
    return false
  }

  mutating func holds(_ rule: Rule, _ node: SchemaNode, _ members: Members) -> Bool {
    switch rule.check {
    case .minProperties(let limit):
      if members.count >= limit { return true }
      fail(node, rule.keyword) { "\($0) must have at least \(Words.count(limit, "member")), but has \(members.count)" }
      return false
    case .maxProperties(let limit):
      if members.count <= limit { return true }
      fail(node, rule.keyword) { "\($0) must have at most \(Words.count(limit, "member")), but has \(members.count)" }
      return false
    case .required(let names):
      guard spend(names.count) else { return false }
      var isComplete = true
      for name in names where members.place(of: name) == nil {
        isComplete = false
        fail(node, rule.keyword) { "\(Words.quote(name.text)) is required but missing at \($0)" }
        if isFinished { break }
      }
      return isComplete
    case .dependentRequired(let dependents):
      guard spend(dependents.reduce(0) { $0 + $1.others.count }) else { return false }
      var isComplete = true
      for (name, others) in dependents where members.place(of: name) != nil {
        for other in others where members.place(of: other) == nil {
          isComplete = false
          fail(node, rule.keyword) { "\(Words.quote(other.text)) is required at \($0) because \(Words.quote(name.text)) is there" }
        }
      }
      return isComplete
    default: return true
    }
  }
}
