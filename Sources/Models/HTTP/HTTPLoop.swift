import CCurl
import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Makes all transfers: a thread, and those that begin a request while it waits. Without libcurl it still answers, and keeps the times.
///
/// To let libcurl look at every transfer costs a microsecond for each, which is too much with hundreds. To tell it which sockets are ready costs
/// nothing, but releases of libcurl have stalled with that, over HTTP/2 above all (https://github.com/curl/curl/issues/10146, 12971), and the
/// library is the machine's, not ours. So few transfers are all looked at, every time, and of many only those that are ready, and all now and then.
final class HTTPLoop: @unchecked Sendable {
  // Unchecked, because: once `run` has begun, it is used by the thread alone whose turn to move bytes it is (`HTTPMailbox`).

  /// How many are few.
  private static let few = 16
  /// How long a stall of libcurl may last when there are many.
  private static let sweepMilliseconds = 100

  private let mailbox: HTTPMailbox
  private let wake: WakeDescriptor
  private let network: NetworkSettings
  private let trouble: String?
  private let watch: SocketWatch
  private var multi: CurlMulti?
  private var running: [ObjectIdentifier: RunningTransfer] = [:]
  /// Not later than the first transfer is due. Deadlines only move away when bytes move, so it is set again only when it has come.
  private var nextCheck = Int.max
  /// What is to be called later; the next one is the last.
  private var calls: [(due: Int, body: @Sendable () -> Void)] = []
  /// Called when all that came has been told; whether no transfer is left that would have to wait for what this does.
  private let whenTold: @Sendable (_ isFree: Bool) -> Void
  /// For the next request, since making it takes longer than sending with it: that of one that went well, or a new one.
  private var spare: CurlEasy?
  /// Transfers that are over and told, but not let go of yet.
  private var told: [RunningTransfer] = []
  /// When all transfers were looked at the last time.
  private var sweptAt = 0
  /// While no transfer is under way, until when connections of earlier ones may be used again.
  private var idleUntil = Int.max

  /// - Parameter trouble: why there is no libcurl.
  init(
    mailbox: HTTPMailbox, wake: WakeDescriptor, network: NetworkSettings, trouble: String?,
    whenTold: @escaping @Sendable (_ isFree: Bool) -> Void
  ) {
    self.mailbox = mailbox
    self.wake = wake
    self.network = network
    self.trouble = trouble
    self.whenTold = whenTold
    watch = SocketWatch(waking: wake.descriptor)
    multi = trouble == nil ? CurlMulti(watch, keeping: network.keptConnections) : nil
  }

  /// Returns when the client is closed.
  func run() {
    // TLS libraries write without MSG_NOSIGNAL, and CURLOPT_NOSIGNAL says that libcurl is not to touch signals. Its threads inherit this.
    Signals.block([SIGPIPE])
    mailbox.loopStarted(self)
    defer { mailbox.loopEnded() }
    while true {
      // What is called here may order more, without a signal.
      var orders = mailbox.take()
      while !orders.isClosed, !orders.orders.isEmpty {
        for order in orders.orders { carryOut(order) }
        moveBytes()
        orders = mailbox.take()
      }
      if orders.isClosed { return end(orders.orders) }
      // It may order more: then `wait` does not.
      whenTold(running.isEmpty)
      tidy()
      if wait() { wake.drain() }
      moveBytes()
      let now = Clock.monotonicMilliseconds()
      failLate(at: now)
      callDue(at: now)
      closeIdle(at: now)
    }
  }

  /// For a thread that visits while `run` waits.
  /// - Returns: whether that must begin its wait anew.
  func carryOutOrders() -> Bool {
    for order in mailbox.takeUnlessClosed() { carryOut(order) }
    moveBytes()
    // With several, releases of libcurl have counted on being called again.
    return watch.isOutdated(by: due) || !told.isEmpty || running.count > 1
  }

  // MARK: Orders

  private func carryOut(_ order: HTTPOrder) {
    switch order {
    case .start(let ticket, let request, let handler):
      start(ticket, request, handler)
    case .cancel(let ticket):
      if let transfer = running.removeValue(forKey: ObjectIdentifier(ticket)) { multi?.abort(transfer.easy) }
    case .call(let due, let body):
      // Those that are due together are called in the order in which they came.
      calls.insert((due, body), at: calls.firstIndex { $0.due <= due } ?? calls.endIndex)
    }
  }

  private func start(_ ticket: HTTPTransfer, _ request: HTTPRequest, _ handler: @escaping @Sendable (HTTPEvent) -> Void) {
    if ticket.isCancelled { return }
    let now = Clock.monotonicMilliseconds()
    do throws(HTTPFailure) {
      guard multi != nil else { throw HTTPFailure(.libraryMissing, "HTTP needs libcurl: \(trouble ?? "there is no memory for it").") }
      let transfer = try RunningTransfer(ticket, request, try takeSpare(), network: network, at: now, handler: handler)
      guard multi?.add(transfer.easy) == true else { throw HTTPFailure(.other, "There is no memory for a request.") }
      running[ObjectIdentifier(ticket)] = transfer
      nextCheck = min(nextCheck, earliestChange(of: transfer, from: now))
    } catch {
      handler(.failed(error))
    }
  }

  // MARK: Bytes

  private func moveBytes() {
    let now = Clock.monotonicMilliseconds()
    var goesOn = true
    if running.count <= Self.few || now >= sweptAt + Self.sweepMilliseconds {
      sweptAt = now
      if !running.isEmpty || !watch.ready.isEmpty { goesOn = multi?.moveAll() != false }
    } else {
      for socket in watch.ready where watch.isWanted(socket) { goesOn = multi?.move(socket) != false && goesOn }
    }
    watch.clearReady()
    // Also after a look at everything, since only this makes libcurl set its time again.
    if watch.takeTimer(at: now) { goesOn = multi?.moveDue() != false && goesOn }
    if !goesOn { fail(HTTPFailure(.other, "There is no memory for HTTP.")) }
    takeDone()
  }

  private func takeDone() {
    while let (transfer, code) = multi?.nextDone() {
      running[ObjectIdentifier(transfer.ticket)] = nil
      if let failure = transfer.failure {
        transfer.deliver(.failed(failure))
      } else if code == CURLE_OK, transfer.hasHead {
        transfer.deliver(.finished)
      } else {
        transfer.deliver(.failed(.of(code == CURLE_OK ? CURLE_GOT_NOTHING : code, transfer)))
      }
      multi?.remove(transfer.easy)
      idleUntil = Clock.monotonicMilliseconds() + 1000 * (network.idleSeconds + 1)
      if code == CURLE_OK, transfer.failure == nil {
        transfer.easy.forgetTransfer()
        spare = transfer.easy
      }
      told.append(transfer)
    }
  }

  /// What nobody has to wait for.
  private func tidy() {
    if told.isEmpty { return }
    told = []
    if spare == nil { spare = try? CurlEasy.prepared(network) }
  }

  private func takeSpare() throws(HTTPFailure) -> CurlEasy {
    if let easy = spare.take() { return easy }
    return try CurlEasy.prepared(network)
  }

  /// Waits for bytes, orders and times; true when it was woken.
  private func wait() -> Bool {
    let next = due
    let time = next == .max ? 3_600_000 : min(max(0, next - Clock.monotonicMilliseconds()), 3_600_000)
    var waiting = watch.beginWait(until: next)
    guard mailbox.beginWait() else { return false }
    waiting.wait(atMostMilliseconds: time)
    mailbox.endWait()
    return watch.endWait(waiting)
  }

  // MARK: Times

  /// Closes all connections when they are too old to be used again, also those that the other side has closed. libcurl does that only when it looks
  /// for one that it can use (`prune_dead_connections` in its lib/url.c), and until then each takes a descriptor.
  private func closeIdle(at now: Int) {
    if now < idleUntil || !running.isEmpty { return }
    idleUntil = .max
    multi = nil
    multi = CurlMulti(watch, keeping: network.keptConnections)
  }

  /// When there is something to do although nothing comes.
  private var due: Int {
    let next = min(nextCheck, watch.timer, calls.last?.due ?? .max, running.isEmpty ? idleUntil : .max)
    return running.count > Self.few ? min(next, sweptAt + Self.sweepMilliseconds) : next
  }

  /// Before then a transfer cannot be late, whichever of its two deadlines holds.
  private func earliestChange(of transfer: RunningTransfer, from now: Int) -> Int {
    min(transfer.due, now + transfer.request.deadlines.stallMilliseconds)
  }

  private func failLate(at now: Int) {
    if now < nextCheck { return }
    nextCheck = .max
    for (key, transfer) in running {
      if transfer.due <= now {
        running[key] = nil
        multi?.abort(transfer.easy)
        transfer.deliver(.failed(transfer.lateness))
      } else {
        nextCheck = min(nextCheck, earliestChange(of: transfer, from: now))
      }
    }
  }

  private func callDue(at now: Int) {
    while let next = calls.last, next.due <= now {
      calls.removeLast()
      next.body()
    }
  }

  // MARK: The end

  private func fail(_ failure: HTTPFailure) {
    let all = running.values
    running = [:]
    for transfer in all {
      multi?.abort(transfer.easy)
      transfer.deliver(.failed(failure))
    }
  }

  /// Tells everybody who waits. What they order now is refused by the mailbox, on this thread.
  private func end(_ orders: [HTTPOrder]) {
    fail(.closed)
    for order in orders {
      switch order {
      case .start(let ticket, _, let handler): if !ticket.isCancelled { handler(.failed(.closed)) }
      case .cancel: break
      case .call(_, let body): body()
      }
    }
    for call in calls.reversed() { call.body() }
    calls = []
    told = []
    spare = nil
    multi = nil
    whenTold(false)
  }
}
