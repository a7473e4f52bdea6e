extension CarriedJSON {
  /// Judges what is not carried, in a value that is valid already.
  /// - Throws: `duplicateKey` with the pointer of the second of two equal names; `tooManyNodes`.
  package func check(carrying paths: CarriedPaths, limits: JSONLimits, at pointer: String = "") throws(JSONError) {
    var nobody = NoVisitor()
    try visitPlaces(carrying: paths, limits: limits, at: pointer, &nobody)
  }

  /// The pointer of the second of two members with the same name, at whatever level; nil when there are none.
  package func firstDuplicateMember() -> String? {
    do throws(JSONError) {
      try check(carrying: .none, limits: JSONLimits(maxNodes: .max))
      return nil
    } catch { return error.pointer }
  }

  func visitPlaces(
    carrying paths: CarriedPaths, limits: JSONLimits, at pointer: String, _ visitor: inout some JSONPlaceVisitor
  ) throws(JSONError) {
    try unsafe bytes.withUnsafeBytes { (raw) throws(JSONError) in
      var walk = unsafe JSONPlaceWalk(raw, of: bytes, maxNodes: limits.maxNodes, at: pointer)
      try walk.run(paths.root, &visitor)
    }
  }
}

private struct NoVisitor: JSONPlaceVisitor {
  mutating func carried(_ range: Range<Int>) {}
  mutating func string(_ range: Range<Int>) {}
  mutating func number(_ range: Range<Int>) {}
  mutating func name(_ range: Range<Int>) {}
}
