import JSON

extension Evaluator {
  /// RFC 6901.
  var instancePointer: String {
    path.map { token in
      switch token {
      case .name(let name): "/" + JSONPointer.escape(name.text)
      case .index(let index): "/\(index)"
      }
    }.joined()
  }

  /// Notes a failure of `keyword` (nil for the schema `false`) when failures are gathered; `words` gets what the failure is about.
  mutating func fail(
    _ node: SchemaNode, _ keyword: String?, kinds: Kinds? = nil, options: [Value]? = nil, _ words: (_ subject: String) -> String
  ) {
    guard collecting, failures.count < JSONSchema.mostFailures else { return }
    let pointer = instancePointer
    let message = words(subject ?? Words.place(pointer))
    // Words cost too: `anyOf` may gather thousands of failures, and a name may be long.
    guard spend((pointer.utf8.count + message.utf8.count) / 8) else { return }
    failures.append(
      Failure(
        instancePointer: pointer, location: node.location, keyword: keyword, message: message, depth: path.count, kinds: kinds,
        options: options))
  }

  func pointer(_ location: Int, _ keyword: String?) -> String {
    schema.pointer(to: location) + (keyword.map { "/" + JSONPointer.escape($0) } ?? "")
  }

  /// Runs `body` where nobody is interested in why.
  mutating func quietly(_ body: (inout Evaluator) -> Bool) -> Bool {
    let wasCollecting = collecting
    collecting = false
    defer { collecting = wasCollecting }
    return body(&self)
  }

  /// Runs `body` and takes out the failures that it notes.
  mutating func gathering(_ body: (inout Evaluator) -> Bool) -> (fits: Bool, failures: [Failure]) {
    guard collecting else { return (body(&self), []) }
    let before = failures
    failures = []
    let fits = body(&self)
    let found = failures
    failures = before
    return (fits, found)
  }

  /// Notes that none of the branches of `anyOf` or `oneOf` fits.
  mutating func failBranches(_ node: SchemaNode, _ keyword: String, _ attempts: [[Failure]]) {
    guard collecting else { return }
    // Branches that differ only in `type`, or only in `const` and `enum`, read better as one sentence.
    let single = attempts.compactMap { $0.count == 1 && $0[0].depth == path.count ? $0[0] : nil }
    if single.count == attempts.count {
      let kinds = single.compactMap(\.kinds)
      if kinds.count == single.count {
        let all = kinds.reduce(into: Kinds()) { $0.formUnion($1) }
        return fail(node, keyword, kinds: all) { "\($0) must be \(all.words)" }
      }
      let options = single.compactMap(\.options)
      if options.count == single.count {
        let all = options.flatMap { $0 }
        return fail(node, keyword, options: all) { "\($0) must be \(Words.options(all))" }
      }
    }
    let best = attempts.min { distance($0) < distance($1) } ?? []
    let words = Words.clip(best.prefix(3).map(\.message).joined(separator: "; "), to: Words.longestQuotation)
    fail(node, keyword) { subject in
      "\(subject) fits none of the \(attempts.count) allowed forms" + (words.isEmpty ? "" : "; the closest one says: \(words)")
    }
  }

  /// How far a branch is from what the instance seems to mean: a wrong type first, then a wrong `const` or `enum`, then the number of failures.
  private func distance(_ failures: [Failure]) -> Int {
    var distance = failures.count
    if failures.contains(where: { $0.kinds != nil && $0.depth == path.count }) { distance += 2000 }
    if failures.contains(where: { $0.options != nil }) { distance += 1000 }
    return distance
  }
}
