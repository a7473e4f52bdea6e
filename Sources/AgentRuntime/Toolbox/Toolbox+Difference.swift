extension Toolbox {
  /// The toolkits that came since `old`, or have another definition than there.
  func toolkitsRegistered(since old: Toolbox) -> [String] {
    if later === old.later { return [] }
    let before = Dictionary(uniqueKeysWithValues: old.index.kits.map { ($0.toolkit.name, $0) })
    return index.kits.filter { kit in before[kit.toolkit.name].map { $0.toolkit != kit.toolkit || $0.level != kit.level } ?? true }
      .map(\.toolkit.name)
  }
}
