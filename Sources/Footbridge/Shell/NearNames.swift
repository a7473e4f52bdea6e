/// Which known names somebody may have meant.
enum NearNames {
  /// `; did you mean X?`, or nothing.
  static func hint(for name: String, among known: [String]) -> String {
    guard let nearest = near(name, among: known, most: 1).first else { return "" }
    return "; did you mean '\(nearest)'?"
  }

  /// The nearest first. A name that begins with what was written, or holds it, is near too.
  static func near(_ name: String, among known: [String], most: Int) -> [String] {
    let written = Array(name.lowercased().unicodeScalars.prefix(64))
    let tolerance = max(1, written.count / 3)
    var found: [(name: String, distance: Int)] = []
    for candidate in known {
      let other = candidate.lowercased()
      let distance = self.distance(written, Array(other.unicodeScalars))
      if distance <= tolerance {
        found.append((candidate, distance))
      } else if written.count >= 3, contains(other, name.lowercased()) {
        found.append((candidate, tolerance + 1))
      }
    }
    // Those that are equally near stay in their order.
    let nearest = found.enumerated().sorted { ($0.element.distance, $0.offset) < ($1.element.distance, $1.offset) }
    return nearest.prefix(most).map(\.element.name)
  }

  private static func contains(_ text: String, _ part: String) -> Bool {
    var rest = text[...]
    while !rest.isEmpty {
      if rest.hasPrefix(part) { return true }
      rest = rest.dropFirst()
    }
    return false
  }

  /// Insertions, removals, replacements, and swaps of neighbours.
  private static func distance(_ a: [Unicode.Scalar], _ b: [Unicode.Scalar]) -> Int {
    var before: [Int] = []
    var row = Array(0...b.count)
    for i in 0..<a.count {
      var next = [i + 1]
      for j in 0..<b.count {
        var least = min(row[j] + (a[i] == b[j] ? 0 : 1), row[j + 1] + 1, next[j] + 1)
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { least = min(least, before[j - 1] + 1) }
        next.append(least)
      }
      before = row
      row = next
    }
    return row[b.count]
  }
}
