import JSON
import TestSupport
import Testing

@testable import AgentRuntime
@testable import Models

/// Answers as they come over the wire: whole, and byte by byte.
enum TurnStream {
  /// What is shown, then how it ends; text in one piece, since how it is cut is the wire's business.
  static func read(_ reader: any TurnReader, _ body: String, by step: Int) -> [String] {
    var response = ResponseReader(reader, now: { 0 })
    var lines: [String] = []
    var signals: [ModelSignal] = []
    let bytes = Bytes(body)
    var events: [HTTPEvent] = [.stream]
    var at = 0
    while at < bytes.count {
      events.append(.body(bytes[at..<min(bytes.count, at + step)]))
      at += step
    }
    for event in events + [.finished] {
      signals = []
      var end: String?
      do throws(ProviderFault) {
        if let turn = try response.take(event, &signals) {
          end = "finished \(turn.words)\(turn.providerData.map { " " + $0.bytes.string } ?? "")"
        }
      } catch { end = "\(error.kind): \(error.reason)" }
      for signal in signals.map(\.words) {
        let kind = signal.prefix { $0 != " " } + " "
        if let last = lines.last, last.hasPrefix(kind) {
          lines[lines.count - 1] += signal.dropFirst(kind.count)
        } else {
          lines.append(signal)
        }
      }
      if let end { return lines + [end] }
    }
    return lines
  }

  static func expect(
    _ reader: @autoclosure () -> any TurnReader, _ body: String, _ wanted: [String], _ location: SourceLocation = #_sourceLocation
  ) {
    for step in [1, 2, 7, 1 << 20] { #expect(read(reader(), body, by: step) == wanted, "\(step)", sourceLocation: location) }
  }
}
