import CCurl
import JSON
import POSIXSupport

/// A request between its start and its end; touched by the thread alone that moves the bytes.
///
/// libcurl holds an unowned pointer to it, from `CurlMulti.add` to `remove`; the loop owns it for longer than that.
final class RunningTransfer {
  /// More than any server has reason to send; libcurl before 8.3 has no bound for all headers together.
  private static let maxHeadBytes = 256 << 10

  let ticket: HTTPTransfer
  let request: HTTPRequest
  private let handler: @Sendable (HTTPEvent) -> Void
  let easy: CurlEasy
  private var reader: BodyReader
  /// What libcurl sends from.
  var wholeBody: Bytes?

  private var status = 0
  private var headLines = ByteBuffer(capacity: 1024)
  private(set) var hasHead = false
  private(set) var received = 0
  /// A byte of an answer has come, if only of its head.
  private var hasAnswer = false
  /// When a byte went or came the last time, in `Clock.monotonicMilliseconds()`.
  private var movedAt: Int
  /// Why a callback made libcurl stop.
  private(set) var failure: HTTPFailure?

  /// - Parameter easy: `CurlEasy.prepared(network)`.
  init(
    _ ticket: HTTPTransfer, _ request: HTTPRequest, _ easy: CurlEasy, network: NetworkSettings, at now: Int,
    handler: @escaping @Sendable (HTTPEvent) -> Void
  ) throws(HTTPFailure) {
    self.ticket = ticket
    self.request = request
    self.handler = handler
    reader = BodyReader(request.body)
    movedAt = now
    self.easy = easy
    try setOptions(network)
  }

  var isProxied: Bool { !easy.proxy.isEmpty }

  /// The transfer that a callback of libcurl is about.
  static func from(_ context: UnsafeMutableRawPointer?) -> RunningTransfer {
    guard let context = unsafe context else { preconditionFailure("libcurl lost the context of a transfer") }
    return unsafe Unmanaged<RunningTransfer>.fromOpaque(context).takeUnretainedValue()
  }

  /// When the transfer fails if no byte moves until then.
  var due: Int { movedAt + (received == 0 ? request.deadlines.firstByteMilliseconds : request.deadlines.stallMilliseconds) }

  /// What is said when it does.
  var lateness: HTTPFailure {
    received == 0
      ? .timedOut(.firstByte, host: request.host, request.deadlines) : .timedOut(.stall, host: request.host, request.deadlines)
  }

  /// Tells the handler, unless the transfer was cancelled; false when it is cancelled now.
  @discardableResult
  func deliver(_ event: HTTPEvent) -> Bool {
    if ticket.isCancelled { return false }
    handler(event)
    return !ticket.isCancelled
  }

  // MARK: What libcurl calls. A count other than the one given ends the transfer.

  /// Takes a line of a head: also of the heads of interim answers, which count for nothing, and of trailers, which come after the body.
  func takeHeadLine(_ line: UnsafeRawBufferPointer) -> Bool {
    hasAnswer = true
    movedAt = Clock.monotonicMilliseconds()
    if hasHead { return true }
    if line.count > 5, unsafe line.starts(with: "HTTP/".utf8) {
      status = unsafe Self.status(of: line)
      headLines.removeAll()
      return true
    }
    if line.count > 2 {
      guard headLines.count + line.count <= Self.maxHeadBytes else { return stop(.tooLarge, "sent a head that is too large.") }
      unsafe headLines.append(line)
      return true
    }
    if status < 200 { return true }
    hasHead = true
    return deliver(.head(HTTPHead(status: status, lines: headLines.finish())))
  }

  func takeBody(_ piece: UnsafeRawBufferPointer) -> Bool {
    if unsafe piece.isEmpty { return true }
    movedAt = Clock.monotonicMilliseconds()
    guard piece.count <= request.maxResponseBytes - received else {
      return stop(.tooLarge, "sent more than \(request.maxResponseBytes) bytes.")
    }
    received += piece.count
    return deliver(.body(unsafe Bytes(copying: piece)))
  }

  func giveBody(_ room: UnsafeMutableRawBufferPointer) -> Int {
    movedAt = Clock.monotonicMilliseconds()
    return unsafe reader.read(into: room)
  }

  /// libcurl goes back in the body when it sends the request a second time.
  ///
  /// It does that of its own, up to five times, when the connection was used before and broke without a line of an answer, which is what a
  /// connection looks like that the server closed while it was idle; and over HTTP/2, when the server says that it has not begun with a request.
  /// It never does once a line of the answer was there, and would be refused here. A new connection that breaks is a failure.
  /// (`Curl_retry_request` in libcurl's lib/transfer.c.)
  func rewindBody(to place: Int) -> Bool { !hasAnswer && reader.seek(to: place) }

  private func stop(_ kind: HTTPFailure.Kind, _ what: String) -> Bool {
    failure = HTTPFailure(kind, "\(request.host) \(what)")
    return false
  }

  /// The three digits after the first space.
  private static func status(of line: UnsafeRawBufferPointer) -> Int {
    guard let space = unsafe line.firstIndex(of: 0x20), space + 4 <= line.count else { return 0 }
    var status = 0
    for i in (space + 1)..<(space + 4) {
      let digit = unsafe line[i] &- 0x30
      guard digit < 10 else { return 0 }
      status = status * 10 + Int(digit)
    }
    return status
  }
}
