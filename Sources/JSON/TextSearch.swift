/// In place of `contains(_:)`, `firstRange(of:)`, `replacing(_:with:)` and `split(separator:)` with a text: the standard library's bring its regular expressions
/// into the program, a megabyte that every start has to pay for (`Package.swift` keeps them out). These compare bytes.
extension StringProtocol {
  /// Where `text`, which is not empty, stands first.
  package func firstRange(ofText text: some StringProtocol) -> Range<Index>? {
    if text.isEmpty { return nil }
    var at = utf8.startIndex
    while at < utf8.endIndex {
      var end = at
      var wanted = text.utf8.startIndex
      while wanted < text.utf8.endIndex, end < utf8.endIndex, utf8[end] == text.utf8[wanted] {
        utf8.formIndex(after: &end)
        text.utf8.formIndex(after: &wanted)
      }
      if wanted == text.utf8.endIndex { return at..<end }
      utf8.formIndex(after: &at)
    }
    return nil
  }

  package func holds(_ text: some StringProtocol) -> Bool { text.isEmpty || firstRange(ofText: text) != nil }

  /// Every `text` replaced, from the left.
  package func replacing(text: some StringProtocol, with replacement: String) -> String {
    var result = ""
    var rest = self[...]
    while let range = rest.firstRange(ofText: text) {
      result += rest[..<range.lowerBound]
      result += replacement
      rest = rest[range.upperBound...]
    }
    return result + rest
  }
}
