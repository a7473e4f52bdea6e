import JSON
import Testing

@testable import AgentRuntime
@testable import ToolHosts

struct CommandProgressTests {
  private let workshop = Workshop()

  @Test func `lines are shown while the command runs`() throws {
    let gate = workshop.fifo("gate")
    let call = workshop.start(.shell("echo one; echo err >&2; read x <\(gate); echo two; printf rest"))
    call.waitForOutput("one\n")
    call.waitForOutput("err\n")
    #expect(!call.hasResult)
    try open(gate: gate)
    #expect(call.result == .success("one\ntwo\nrest", stderr: "err\n"))
    #expect(call.shown("stdout") == "one\ntwo\nrest")
    #expect(call.shown("stderr") == "err\n")
  }

  @Test func `a line is shown when it is whole`() throws {
    let gate = workshop.fifo("gate")
    let call = workshop.start(.shell("printf 'first\\nhal'; read x <\(gate); echo f"))
    call.waitForOutput("first\n")
    #expect(call.pieces == [Piece(stream: "stdout", text: "first\n")])
    try open(gate: gate)
    #expect(call.result == .success("first\nhalf\n"))
    #expect(call.pieces == [Piece(stream: "stdout", text: "first\n"), Piece(stream: "stdout", text: "half\n")])
  }

  @Test func `much output is shown in part, in pieces that are not long`() {
    let call = workshop.start(.shell("yes 'a line of output' | head -n 500000"))
    #expect(call.result.text?.utf8.count == 8_500_000)
    #expect(!call.pieces.isEmpty)
    #expect(call.pieces.allSatisfy { $0.text.utf8.count <= 32 << 10 && $0.text.hasSuffix("a line of output\n") })
    #expect(call.pieces.contains { $0.text.contains(" bytes left out]\n") })
  }

  @Test func `a command that says nothing shows nothing`() {
    let call = workshop.start(.shell("true"))
    #expect(call.result == .success(""))
    #expect(call.pieces == [])
  }

  // MARK: The cut

  private func cut(_ text: String, limit: Int = 100, isLast: Bool = false) -> (text: String?, consumed: Int) {
    cut(Array(text.utf8), limit: limit, isLast: isLast)
  }

  private func cut(_ bytes: [UInt8], limit: Int = 100, isLast: Bool = false) -> (text: String?, consumed: Int) {
    unsafe bytes.withUnsafeBytes { unsafe OutputPiece.cut($0, limit: limit, isLast: isLast) }
  }

  @Test func `a piece ends with a line, the last one anywhere`() {
    #expect(cut("") == (nil, 0))
    #expect(cut("abc") == (nil, 0))
    #expect(cut("abc\n") == ("abc\n", 4))
    #expect(cut("abc\nde\nf") == ("abc\nde\n", 7))
    #expect(cut("abc\nde\nf", isLast: true) == ("abc\nde\nf", 8))
    #expect(cut("", isLast: true) == (nil, 0))
  }

  @Test func `of too much the newest lines are shown`() {
    let lines = (100..<200).map { "line \($0)\n" }.joined()
    #expect(cut(lines) == ("[846 bytes left out]\n" + (194..<200).map { "line \($0)\n" }.joined(), 900))
  }

  @Test func `a line that is too long is shown in parts, between characters`() {
    #expect(cut(String(repeating: "x", count: 100)) == (nil, 0))
    #expect(cut(String(repeating: "x", count: 101)) == ("[41 bytes left out]\n" + String(repeating: "x", count: 60), 101))
    let euros = Array(String(repeating: "€", count: 50).utf8)
    #expect(cut(euros) == ("[90 bytes left out]\n" + String(repeating: "€", count: 20), 150))
    #expect(cut(Array(euros.dropLast())) == ("[87 bytes left out]\n" + String(repeating: "€", count: 20), 147))
    #expect(cut(Array(euros.dropLast(2))) == ("[87 bytes left out]\n" + String(repeating: "€", count: 20), 147))
  }

  @Test func `what is not UTF-8 stays within the limit, too`() {
    let (text, consumed) = cut(Array(repeating: 0xFF, count: 299) + [0x0A], limit: 300)
    #expect(text == "[240 bytes left out]\n" + String(repeating: "\u{FFFD}", count: 59) + "\n")
    #expect(consumed == 300)
  }
}
