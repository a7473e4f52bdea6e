extension Evaluator {
  /// Keywords whose subschemas look at the same value.
  mutating func holdsInPlace(_ rule: Rule, _ node: SchemaNode, _ value: Value, _ evaluated: inout Evaluated) -> Bool {
    switch rule.check {
    case .reference(let target): return fits(target, value, &evaluated)
    case .dynamicReference(let anchor, let fallback):
      guard spend(scope.count) else { return false }
      return fits(dynamicTarget(anchor) ?? fallback, value, &evaluated)
    case .allOf(let branches):
      var fitsAll = true
      for branch in branches where !fits(branch, value, &evaluated) {
        fitsAll = false
        if isFinished { break }
      }
      return fitsAll
    case .anyOf(let branches): return fitsAny(branches, rule, node, value, &evaluated)
    case .oneOf(let branches): return fitsOne(branches, rule, node, value, &evaluated)
    case .not(let branch):
      var dropped = Evaluated()
      if !quietly({ $0.fits(branch, value, &dropped) }) { return true }
      fail(node, rule.keyword) { "\($0) is something that the schema forbids (not)" }
      return false
    case .condition(let condition, let then, let otherwise):
      var seen = Evaluated()
      if quietly({ $0.fits(condition, value, &seen) }) {
        absorb(seen, into: &evaluated)
        return then.map { fits($0, value, &evaluated) } ?? true
      }
      return otherwise.map { fits($0, value, &evaluated) } ?? true
    case .dependentSchemas(let dependents):
      guard case .object(let members) = value else { return true }
      var fitsAll = true
      for (name, branch) in dependents where members.place(of: name) != nil {
        if fits(branch, value, &evaluated) { continue }
        fitsAll = false
        if isFinished { break }
      }
      return fitsAll
    default: return true
    }
  }

  /// The outermost resource that has been entered and has this dynamic anchor decides.
  private func dynamicTarget(_ anchor: ExactString) -> Int? {
    for resource in scope {
      if let target = schema.resources[resource].dynamicAnchors[anchor] { return target }
    }
    return nil
  }

  private mutating func fitsAny(
    _ branches: [Int], _ rule: Rule, _ node: SchemaNode, _ value: Value, _ evaluated: inout Evaluated
  ) -> Bool {
    var fitsAny = false
    var attempts: [[Failure]] = []
    for branch in branches {
      var seen = Evaluated()
      let (fits, failures) = gathering { $0.fits(branch, value, &seen) }
      guard stopped == nil else { return false }
      if fits {
        fitsAny = true
        // What the other branches would evaluate matters only to `unevaluated…`.
        guard schema.tracksEvaluated else { return true }
        absorb(seen, into: &evaluated)
      } else if !fitsAny {
        attempts.append(failures)
      }
    }
    if !fitsAny { failBranches(node, rule.keyword, attempts) }
    return fitsAny
  }

  private mutating func fitsOne(
    _ branches: [Int], _ rule: Rule, _ node: SchemaNode, _ value: Value, _ evaluated: inout Evaluated
  ) -> Bool {
    var found: Int?
    var attempts: [[Failure]] = []
    for (number, branch) in branches.enumerated() {
      var seen = Evaluated()
      let (fits, failures) = gathering { $0.fits(branch, value, &seen) }
      guard stopped == nil else { return false }
      guard fits else {
        attempts.append(failures)
        continue
      }
      if let found {
        fail(node, rule.keyword) {
          "\($0) must fit exactly one of the \(branches.count) allowed forms, but fits number \(found + 1) and number \(number + 1)"
        }
        return false
      }
      found = number
      absorb(seen, into: &evaluated)
    }
    if found == nil { failBranches(node, rule.keyword, attempts) }
    return found != nil
  }
}
