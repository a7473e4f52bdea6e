import AgentRuntime
import JSON
import POSIXSupport
import Synchronization

/// A model that plays a script: for tests, demos, and clients that are written without a key.
///
/// The place in the script is the number of turns in the run's log, so that a script goes on after a restart. Nothing is counted by a tokenizer
/// here: usage is a token for every four bytes that are new to the model, and that it writes.
final class ScriptModel: Sendable {
  private struct Entry {
    var stamp: FileReading.Stamp
    var script: Script
  }

  private static let mostBytes = 256 << 20

  /// Scripts read so far, by path: a file is read again when it has changed.
  private let known = Mutex<[String: Entry]>([:])

  /// - Throws: `model.unavailable` for a file that cannot be read or is no script.
  func checked(file: String) throws(RuntimeError) -> any ModelProvider { ScriptProvider(script: try script(file)) }

  private func script(_ file: String) throws(RuntimeError) -> Script {
    let stamp: FileReading.Stamp
    let contents: [UInt8]
    do throws(SystemError) {
      stamp = try FileReading.stamp(of: file)
      if let entry = known.withLock({ $0[file] }), entry.stamp == stamp { return entry.script }
      contents = try FileReading.contents(ofRegular: file, atMost: Self.mostBytes)
    } catch { throw RuntimeError(.modelUnavailable, "the script cannot be read: \(error)") }
    let script = try Script(Bytes(contents), file: file)
    known.withLock { known in
      if known.count >= 256 { known = [:] }
      known[file] = Entry(stamp: stamp, script: script)
    }
    return script
  }
}

/// Plays the turns of one script.
private struct ScriptProvider: ModelProvider {
  let script: Script

  func start(_ request: ModelRequest, signal: @escaping @Sendable (ModelSignal) -> Void) -> any ModelCall {
    let call = ScriptCall()
    guard let turn = script.turn(at: request.turn) else {
      let count = script.turns.last?.end ?? 0
      signal(.failed(RunFault(.scriptExhausted, "the script has \(count) turns; turn \(request.turn + 1) was asked for")))
      return call
    }
    let shown: [ShownMessage]
    do throws(StoreError) {
      shown = turn.expect == nil ? [] : try ShownMessage.last(of: request)
    } catch {
      signal(.failed(RunFault(.storeUnavailable, error.message, retryable: true)))
      return call
    }
    if let expect = turn.expect, !shown.contains(where: { $0.matches(expect) }) {
      let seen = shown.first.map { message in
        "the \(message.role) message of \(message.content.utf8.count) bytes shown last: \(message.misfits(expect).joined(separator: ", "))"
      }
      let what = "turn \(request.turn + 1) of the script expects something else than \(seen ?? "nothing")"
      signal(.failed(RunFault(.scriptMismatch, what)))
      return call
    }
    let finished = ModelTurn(
      text: turn.text, calls: turn.calls, usage: usage(of: turn, request), stopReason: turn.stopReason)
    var pieces = Self.pieces(turn.text.stringValue ?? "")
    if turn.delayMilliseconds == 0 {
      for piece in pieces { signal(.text(piece)) }
      signal(.finished(finished))
      return call
    }
    // The text is spread over the delay: the first piece at once, the turn's end when the delay is over.
    if !pieces.isEmpty { signal(.text(pieces.removeFirst())) }
    call.play(pieces, over: turn.delayMilliseconds, request.schedule) {
      signal($0)
    } finished: {
      signal(.finished(finished))
    }
    return call
  }

  private func usage(of turn: Script.Turn, _ request: ModelRequest) -> Usage {
    func tokens(_ bytes: Int) -> Int { (bytes + 3) / 4 }
    var input = 0
    for entry in request.transcript.reversed() {
      if case .assistant = entry { break }
      input += entry.byteCount
    }
    var usage = Usage()
    usage.inputTokens = tokens(input)
    usage.outputTokens = tokens(turn.text.bytes.count - 2 + turn.calls.reduce(0) { $0 + $1.arguments.count })
    return usage
  }

  /// Text as a model streams it: a few words at a time.
  private static func pieces(_ text: String) -> [String] {
    let length = max(16, min(text.utf8.count / 64, 32768))
    var pieces: [String] = []
    var piece = ""
    for scalar in text.unicodeScalars {
      piece.unicodeScalars.append(scalar)
      if piece.utf8.count >= length || (scalar == " " && piece.utf8.count >= length / 2) {
        pieces.append(piece)
        piece = ""
      }
    }
    if !piece.isEmpty { pieces.append(piece) }
    return pieces
  }
}

/// A turn that is being played.
private final class ScriptCall: ModelCall {
  private let isCancelled = Atomic(false)

  func cancel() { isCancelled.store(true, ordering: .relaxed) }

  func play(
    _ pieces: [String], over milliseconds: Int, _ schedule: @escaping @Sendable (Int, @escaping @Sendable () -> Void) -> Void,
    _ signal: @escaping @Sendable (ModelSignal) -> Void, finished: @escaping @Sendable () -> Void
  ) {
    guard !isCancelled.load(ordering: .relaxed) else { return }
    let steps = min(pieces.count, 20)
    let wait = milliseconds / (steps + 1)
    schedule(steps == 0 ? milliseconds : wait) { [self] in
      guard !isCancelled.load(ordering: .relaxed) else { return }
      if steps == 0 { return finished() }
      let count = (pieces.count + steps - 1) / steps
      signal(.text(pieces[..<count].joined()))
      play(Array(pieces[count...]), over: milliseconds - wait, schedule, signal, finished: finished)
    }
  }
}
