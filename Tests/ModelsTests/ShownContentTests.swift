import JSON
import TestSupport
import Testing

@testable import AgentRuntime
@testable import Models

/// Content as a model sees it, from the bytes of the log.
@Suite struct ShownContentTests {
  private func reader(_ takes: @escaping @Sendable (String) -> Media.Kind? = { _ in nil }) -> ContentReader {
    ContentReader(takes: takes) { (value) throws(StoreError) in value.wire }
  }

  private func text(_ insides: [RequestPiece]) -> String {
    CarriedJSON(quoting: insides.isEmpty ? Bytes() : insides.joined).stringValue ?? ""
  }

  private let results = [
    "{}", "{\"content\":\"\"}", "{\"content\":\"a \\\"b\\\" \\u00e9 ü\\n\"}",
    "{\"content\":[{\"type\":\"text\",\"text\":\"\"},{\"type\":\"text\",\"text\":\"b\"}]}",
    "{\"content\":[{\"type\":\"json\",\"value\":{\"a\":[1.50,\"\\u0000\"]}}]}", "{\"structuredContent\":{\"a\":\"\\\"\"}}",
    "{\"structuredContent\":[\"é中😀\\n\"],\"stderr\":[\"e\"]}",
    "{\"content\":[{\"type\":\"image\",\"data\":\"AAAA\",\"mimeType\":\"image/png\"},{\"type\":\"audio\",\"data\":\"AAAAAAAA\",\"mimeType\":\"audio/wav\"}]}",
    "{\"content\":[{\"type\":\"binary\",\"data\":\"AAAA\",\"mimeType\":\"application/zip\",\"filename\":\"a\\\"z\"},{\"type\":\"binary\",\"url\":\"https://x\",\"mimeType\":\"a/b\"}]}",
    "{\"content\":[{\"type\":\"resource_link\",\"uri\":\"file:///a\",\"name\":\"a\"},{\"type\":\"resource\",\"resource\":{\"uri\":\"file:///b\",\"blob\":\"AAAA\"}}]}",
    "{\"content\":\"x\",\"stdout\":[\"one\",\"two\"],\"stderr\":[\"e\"]}", "{\"stdout\":[],\"stderr\":[\"\"]}",
    "{\"content\":\"a\\ud83d\\ude00b\\ud83dc\\udc00\"}",
  ]

  @Test func `text says what the runtime's own words say`() throws {
    for json in results {
      let result = try Sample.result(json)
      var reader = reader()
      for most in [1 << 20, 0, 1, 2, 3, 5, 7, 10, 15, 20] {
        let shown = try reader.content(of: result, maxBytes: most)
        let wanted = try ModelText.text(of: result, maxBytes: most) { (value) throws(StoreError) in value.wire }
        #expect(text(shown.text) == wanted, "\(json) cut to \(most)")
      }
    }
  }

  @Test func `text is not decoded on its way`() throws {
    let inside = "a\\u00e9\\/\\u0041\\n"
    var reader = reader()
    let shown = try reader.content(of: Sample.blocks("[{\"type\":\"text\",\"text\":\"\(inside)\"}]"))
    #expect(shown.text.joined == Bytes(inside))
  }

  @Test func `files stay when text is cut`() throws {
    let result = try Sample.result(
      "{\"content\":[{\"type\":\"text\",\"text\":\"12345\"},{\"type\":\"image\",\"data\":\"AAAA\",\"mimeType\":\"image/png\"},{\"type\":\"text\",\"text\":\"6789\"}]}"
    )
    var reader = reader { $0 == "image/png" ? .image : nil }
    let shown = try reader.content(of: result, maxBytes: 7)
    #expect(text(shown.text) == "12345\n6\n[cut: the first 7 of 10 bytes]")
    #expect(shown.media.map(\.data) == [Bytes("AAAA")])
    #expect(shown.blocks.count == 3)
  }

  @Test func `lone surrogates become the replacement character, pairs and all else stay`() {
    for (given, wanted) in [
      ("plain", "plain"), ("\\ud83d\\ude00", "\\ud83d\\ude00"), ("a\\ud83d", "a\\ufffd"), ("\\ude00b", "\\ufffdb"),
      ("\\ud83d\\ud83d\\ude00", "\\ufffd\\ud83d\\ude00"),
      ("\\\\ud83d", "\\\\ud83d"), ("\\\\\\ud83d", "\\\\\\ufffd"), ("\\uD83Dx\\uDE00", "\\ufffdx\\ufffd"),
      ("\\ud7ff\\ue000", "\\ud7ff\\ue000"), ("\\n\\\"", "\\n\\\""),
    ] {
      #expect(EscapedText.wellFormed(Bytes(given)).string == wanted)
    }
  }

  @Test func `what is blank says nothing`() {
    for blank in ["", " ", "\\n\\t \\r\\f", "\\u0020\\u000A\\u000b\\u001F", "\u{A0}\\u00a0 "] {
      #expect(EscapedText.isBlank(Bytes(blank)), "\(blank)")
    }
    for text in [
      "x", " x", "\\\\n", "\\\"", "\\b", "\\u0041", " \\u00e9", "\u{E9}", "\u{200B}", "\\u200b", "\u{A0}x", "\u{FEFF}", "\u{1F600}",
      "\\ud83d\\ude00",
    ] {
      #expect(!EscapedText.isBlank(Bytes(text)), "\(text)")
    }
  }

  @Test func `white space is Unicode's and Python's, escaped or not`() throws {
    for value in UInt32(0)...0x3100 {
      guard let scalar = Unicode.Scalar(value) else { continue }
      let isBlank = scalar.properties.isWhitespace || (0x1C...0x1F).contains(value)
      let hex = String(value, radix: 16)
      let escape = "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      #expect(EscapedText.isBlank(Bytes(escape)) == isBlank, "\(escape)")
      #expect(EscapedText.isBlank(EscapedText.escape(String(scalar))) == isBlank, "U+\(hex)")
    }
  }

  @Test func `streamed text joins halves of characters, and keeps its escapes`() throws {
    var text = StreamedText()
    let shown = try ["\"a\\n\"", "\"\\ud83d\"", "null", "\"\\ude00b\\\\\"", "\"\\ud83d\"", "7", "\"c\"", "\"\\\\ud83d\"", "\"\\ud83d\""].map
    { text.append(try CarriedJSON($0)) }
    #expect(shown == ["a\n", "", "", "😀b\\", "", "", "\u{FFFD}c", "\\ud83d", ""])
    #expect([text.showRest(), text.showRest()] == ["\u{FFFD}", ""])
    #expect(text.inside == Bytes("a\\n\\ud83d\\ude00b\\\\\\ud83dc\\\\ud83d\\ud83d"))
    #expect(text.text == "a\n😀b\\\u{FFFD}c\\ud83d\u{FFFD}")
  }

  @Test func `base64 is taken only as providers take it`() {
    for good in ["AAAA", "AA==", "AAA=", "+/09", "\\/\\/\\/\\/"] { #expect(Base64.isStrict(Bytes(good)), "\(good)") }
    for bad in ["", "A", "AA", "AAA", "AAAAA", "AA=A", "A===", "====", "AA\\nAA", "AA AA", "-_-_", "ü==="] {
      #expect(!Base64.isStrict(Bytes(bad)), "\(bad)")
    }
    #expect(Base64.text(Bytes("R3LDvMOfZQ==")) == "Grüße")
    #expect(Base64.text(Bytes("R3LDvMOfZQ")) == "Grüße")
    for bad in ["/w==", "A", "a b", "=AAA"] { #expect(Base64.text(Bytes(bad)) == nil, "\(bad)") }
  }

  @Test func `a large value is lent, a small one copied`() {
    var writer = PartWriter()
    let large = Bytes(String(repeating: "x", count: PartWriter.lentFrom))
    writer.raw("[")
    writer.string([Bytes("a"), large, Bytes("b")])
    writer.raw("]")
    #expect(writer.count == large.count + 6)
    let pieces = writer.finish()
    #expect(pieces.count == 3 && pieces[1] == .plain(large))
    #expect(pieces.joined == Bytes("[\"a\(large.string)b\"]"))
  }
}
