import JSON
import Testing

struct TextSearchTests {
  @Test(arguments: [
    ("a secret, a secret", "secret", "a ***, a ***"), ("aaa", "aa", "***a"), ("none", "secret", "none"), ("", "secret", ""),
    ("secret", "secret", "***"), ("secre", "secret", "secre"), ("sesecret", "secret", "se***"),
    ("Grüße, Grüße", "üß", "Gr***e, Gr***e"), ("any", "", "any"),
    // What follows does not hide it.
    ("secret\u{301}", "secret", "***\u{301}"),
  ]) func `a text is replaced wherever its bytes stand, from the left`(text: String, part: String, result: String) {
    #expect(Array(text.replacing(text: part, with: "***").utf8) == Array(result.utf8))
    #expect(text.holds(part) == (part.isEmpty || text != result))
  }

  @Test func `a part of a text is searched in that part`() throws {
    let text = "one two one"
    let part = text.dropFirst(1)
    let found = try #require(part.firstRange(ofText: "one"))
    #expect(text[found.upperBound...].isEmpty)
    #expect(part.holds("two one") && !part.prefix(3).holds("two"))
  }
}
