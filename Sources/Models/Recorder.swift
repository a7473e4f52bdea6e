package import AgentRuntime
import JSON
package import POSIXSupport
import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Writes the turns that real providers give as a script, so that `script:` can play them again: one line a turn, in the order they end.
///
/// What is no turn of a run, such as a summary, is left out: the place in a script is the number of turns.
package final class RecordingModels: ModelCatalog {
  private let models: any ModelCatalog
  private let recorder: TurnRecorder

  /// - Parameters:
  ///   - file: Appended to; made for its owner alone when it is not there.
  ///   - log: Told once that the file can no longer be written; the runs go on.
  /// - Throws: what keeps the file from being opened.
  package init(_ models: any ModelCatalog, file: String, log: @escaping @Sendable (String) -> Void) throws(SystemError) {
    self.models = models
    recorder = try TurnRecorder(file: file, log: log)
  }

  package func provider(for agent: Agent, hasTools: Bool, parent: ParentAbilities?) throws(RuntimeError) -> any ModelProvider {
    let provider = try models.provider(for: agent, hasTools: hasTools, parent: parent)
    return agent.model.hasPrefix("script:") ? provider : RecordingProvider(provider: provider, recorder: recorder)
  }
}

private struct RecordingProvider: ModelProvider {
  let provider: any ModelProvider
  let recorder: TurnRecorder

  func start(_ request: ModelRequest, signal: @escaping @Sendable (ModelSignal) -> Void) -> any ModelCall {
    if request.isAside { return provider.start(request, signal: signal) }
    return provider.start(request) { [recorder] item in
      if case .finished(let turn) = item { recorder.append(turn) }
      signal(item)
    }
  }
}

/// The file; turns of several runs come from several threads.
final class TurnRecorder: Sendable {
  private let descriptor: FileDescriptor
  private let log: @Sendable (String) -> Void
  /// No turn is recorded after one that could not be: the place in a script is the number of turns.
  private let hasFailed = Mutex(false)

  init(file: String, log: @escaping @Sendable (String) -> Void) throws(SystemError) {
    descriptor = try FileDescriptor.open(file, O_WRONLY | O_APPEND | O_CREAT, mode: 0o600)
    self.log = log
  }

  func append(_ turn: ModelTurn) {
    let line = Self.line(turn)
    hasFailed.withLock { hasFailed in
      if hasFailed { return }
      let start = lseek(descriptor.rawValue, 0, SEEK_END)
      do throws(SystemError) {
        try unsafe line.withUnsafeBytes { (bytes) throws(SystemError) in try unsafe descriptor.writeAll(bytes) }
      } catch {
        hasFailed = true
        let rest = takeBack(to: start) ? "it ends with the last turn before that" : "its last line may be only the beginning of one"
        log("a turn could not be recorded (\(error)), so no more are written to the file: \(rest)")
      }
    }
  }

  /// Removes the beginning of a line, which would make all of the script unreadable. False when the file is none that can be cut.
  private func takeBack(to start: off_t) -> Bool {
    start >= 0 && ftruncate(descriptor.rawValue, start) == 0
  }

  /// The turn as a line of a script: protocol section 10, and what `Script` adds to it.
  static func line(_ turn: ModelTurn) -> Bytes {
    var writer = JSONWriter(capacity: turn.text.bytes.count + 256)
    writer.beginObject()
    writer.member("text", turn.text)
    if Script.stopReasons.contains(turn.stopReason) { writer.member("x-stopReason", turn.stopReason) }
    if !turn.calls.isEmpty {
      writer.key("toolCalls")
      writer.beginArray()
      for call in turn.calls {
        writer.beginObject()
        writer.member("name", call.name)
        writer.member("arguments", arguments(call.arguments))
        if call.isCutOff { writer.member("x-cutOff", true) }
        writer.endObject()
      }
      writer.endArray()
    }
    writer.endObject()
    var line = ByteBuffer(capacity: writer.count + 1)
    line.append(writer.finish())
    line.append(0x0A)
    return line.finish()
  }

  /// On one line; what is no JSON object stands as the text it is, which a script takes as what the model wrote.
  private static func arguments(_ bytes: Bytes) -> CarriedJSON {
    if bytes.isEmpty { return .emptyObject }
    do throws(JSONError) {
      let json = try CarriedJSON(validating: bytes)
      // In valid JSON, line ends stand only between values.
      if json.kind == .object { return CarriedJSON(trusted: json.bytes.replacing(0x0A, 0x0D, with: 0x20)) }
    } catch { return CarriedJSON(string: bytes.string) }
    return CarriedJSON(string: bytes.string)
  }
}
