import JSON
import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Where a command reads from and writes to. Only the main thread touches it.
///
/// What is written waits here in order, standard output and standard error alike, so that a command can watch for signals while a reader takes its time.
final class Terminal {
  /// Standard output is a terminal.
  let isInteractive: Bool
  /// Standard error is one: somebody may be told how it goes.
  let showsProgress: Bool
  let inputIsTerminal: Bool
  private let usesColour: Bool
  private let input: FileDescriptor
  private let output: FileDescriptor
  private let errors: FileDescriptor
  private var chunks: [Chunk] = []
  private var atLineStart = true
  /// Nobody reads standard output any more, or it could not be written.
  private(set) var isGone = false
  private var failure: SystemError?

  /// What goes to one of the two, in one go if it can.
  private struct Chunk {
    var toErrors: Bool
    var bytes: [UInt8]
    var sent = 0
  }

  /// Takes the standard descriptors, so that nothing else in the process can print between the lines of an answer.
  init() throws(StartupError) {
    do throws(SystemError) {
      let descriptors = try ProtocolDescriptors.claim()
      input = descriptors.input
      output = descriptors.output
      errors = try FileDescriptor.duplicate(2)
    } catch { throw StartupError(status: .internalError, message: "\(error)") }
    isInteractive = isatty(output.rawValue) == 1
    showsProgress = isatty(errors.rawValue) == 1
    inputIsTerminal = isatty(input.rawValue) == 1
    // One that is not UTF-8 names no terminal.
    let kind = (try? Environment.value("TERM")) ?? "dumb"
    usesColour = showsProgress && kind != "dumb" && !Environment.isSet("NO_COLOR")
  }

  /// Columns of the terminal on standard output.
  var width: Int? {
    guard isInteractive else { return nil }
    var size = winsize()
    guard unsafe ioctl(output.rawValue, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }

  /// Everything there is on standard input.
  func readInput() throws(StartupError) -> Bytes {
    do throws(SystemError) { return Bytes(try FileReading.contents(ofDescriptor: input.rawValue, subject: "standard input")) } catch {
      throw StartupError(status: .failure, message: "\(error)")
    }
  }

  // MARK: Writing

  /// To standard output; on a terminal without what could change it.
  func put(_ text: String) {
    guard !text.isEmpty else { return }
    put(Bytes(isInteractive ? VisibleText.safe(text) : text))
  }

  func put(_ bytes: Bytes) {
    guard !isGone, !bytes.isEmpty else { return }
    append(bytes, toErrors: false)
    atLineStart = bytes[bytes.count - 1] == 0x0A
  }

  /// Pieces of a streamed text join, so that they leave together.
  private func append(_ bytes: Bytes, toErrors: Bool) {
    unsafe bytes.withUnsafeBytes { raw in
      if let last = chunks.last, last.toErrors == toErrors, last.bytes.count < 65536 {
        unsafe chunks[chunks.count - 1].bytes.append(contentsOf: raw)
      } else {
        unsafe chunks.append(Chunk(toErrors: toErrors, bytes: Array(raw)))
      }
    }
  }

  /// Ends a line that was begun.
  func endLine() {
    if !atLineStart { put(Bytes("\n")) }
  }

  /// How it goes: a line on standard error, when that is a terminal.
  func note(_ line: String) {
    guard showsProgress else { return }
    let safe = VisibleText.safe(line)
    putError(usesColour ? "\u{1B}[2m\(safe)\u{1B}[0m\n" : safe + "\n")
  }

  /// What somebody has to know, terminal or not.
  func report(_ text: String) { putError("footbridge: \(VisibleText.safe(text))\n") }

  private func putError(_ text: String) {
    if isInteractive, showsProgress { endLine() }
    append(Bytes(text), toErrors: true)
  }

  // MARK: Sending

  var hasPending: Bool { !chunks.isEmpty }

  /// What to wait on, to send more or to learn that nobody reads; nil when there is nothing to learn.
  var descriptor: Int32? {
    if let first = chunks.first, first.toErrors { return errors.rawValue }
    return isGone ? nil : output.rawValue
  }

  /// Sends a little, at most what a pipe that has room takes at once.
  func sendSome() {
    guard let chunk = chunks.first else { return }
    let result = unsafe chunk.bytes.withUnsafeBytes { all -> Result<Int, SystemError> in
      let next = unsafe UnsafeRawBufferPointer(rebasing: all[chunk.sent..<min(all.count, chunk.sent + 4096)])
      return Result { () throws(SystemError) in
        if chunk.toErrors { return try unsafe errors.writeOnce(next) }
        return try unsafe output.writeOnce(next)
      }
    }
    switch result {
    case .success(let count):
      chunks[0].sent += count
      if chunks[0].sent == chunk.bytes.count { chunks.removeFirst() }
    case .failure(let error): if chunk.toErrors { chunks.removeFirst() } else { lose(error) }
    }
  }

  private func lose(_ error: SystemError) {
    if !error.isReaderGone { failure = error }
    lose()
  }

  /// Nobody reads standard output any more.
  func lose() {
    isGone = true
    chunks.removeAll { !$0.toErrors }
  }

  /// Sends everything, as long as that takes.
  func flush() {
    while hasPending { sendSome() }
  }

  /// - Throws: what kept standard output from taking everything; a reader that went away is no error.
  func finish() throws(StartupError) {
    flush()
    if let failure { throw StartupError(status: .failure, message: "standard output could not be written: \(failure.text)") }
  }
}
