import POSIXSupport
import Synchronization

/// What the loop is asked to do.
enum HTTPOrder: Sendable {
  case start(HTTPTransfer, HTTPRequest, @Sendable (HTTPEvent) -> Void)
  case cancel(HTTPTransfer)
  case call(atMilliseconds: Int, @Sendable () -> Void)
}

/// What passes from all threads to the one that moves the bytes, and whose turn it is to move them.
///
/// While the loop waits, a thread with a request may begin with it at once: to wake the loop first would take longer than that.
///
/// It has no bound of its own: each order is of a turn of a run, which the engine holds and limits.
final class HTTPMailbox: Sendable {
  private struct State: Sendable {
    var orders: [HTTPOrder] = []
    /// There once the thread runs.
    var wake: WakeDescriptor?
    var loopThread: Thread.Identity?
    /// Carries out what was ordered, for a thread that visits.
    var loop: HTTPLoop?
    var mover = Mover.loop
    /// The loop has waited, and would go on.
    var loopIsBack = false
    var isClosed = false

    /// Whom to signal: the first order wakes the loop for all that follow, and the loop itself looks here before it waits.
    mutating func add(_ order: HTTPOrder) -> WakeDescriptor? {
      orders.append(order)
      return orders.count == 1 && loopThread != Thread.current ? wake : nil
    }
  }

  private enum Mover {
    case loop, visitor
    /// The loop waits.
    case nobody
  }

  private let state = Monitor(State())

  // MARK: From any thread

  /// Leaves an order; nil makes only sure that the thread runs. False when the client is closed.
  func post(_ order: HTTPOrder?, startThread: (WakeDescriptor) throws(SystemError) -> Void) throws(SystemError) -> Bool {
    let next = try state.withLock { (state) throws(SystemError) -> (isOpen: Bool, toVisit: HTTPLoop?, toSignal: WakeDescriptor?) in
      guard !state.isClosed else { return (false, nil, nil) }
      if state.wake == nil {
        let wake = try WakeDescriptor()
        try startThread(wake)
        state.wake = wake
      }
      guard let order else { return (true, nil, nil) }
      guard case .start = order, state.mover == .nobody, let loop = state.loop else { return (true, nil, state.add(order)) }
      state.orders.append(order)
      state.mover = .visitor
      return (true, loop, state.wake)
    }
    var mustSignal = true
    if let loop = next.toVisit {
      mustSignal = loop.carryOutOrders()
      endVisit()
    }
    if mustSignal { next.toSignal?.signal() }
    return next.isOpen
  }

  private func endVisit() {
    let isAwaited = state.withLock { state in
      state.mover = state.loopIsBack ? .loop : .nobody
      return state.loopIsBack
    }
    if isAwaited { state.wakeAll() }
  }

  /// Leaves word of a cancel, if there is a loop that could have begun with the transfer.
  func cancel(_ transfer: HTTPTransfer) {
    let wake = state.withLock { state -> WakeDescriptor? in
      guard !state.isClosed, state.wake != nil else { return nil }
      return state.add(.cancel(transfer))
    }
    wake?.signal()
  }

  func close() {
    let wake = state.withLock { state -> WakeDescriptor? in
      state.isClosed = true
      return state.wake
    }
    wake?.signal()
  }

  // MARK: From the loop

  func loopStarted(_ loop: HTTPLoop) {
    state.withLock { state in
      state.loopThread = Thread.current
      state.loop = loop
    }
  }

  /// The loop touches nothing that moves bytes until `endWait`. False when there are orders: then it must not wait.
  func beginWait() -> Bool {
    state.withLock { state in
      guard state.orders.isEmpty, !state.isClosed else { return false }
      state.mover = .nobody
      return true
    }
  }

  /// Returns when nobody visits.
  func endWait() {
    let isFree = state.withLock { state in
      state.loopIsBack = state.mover == .visitor
      if !state.loopIsBack { state.mover = .loop }
      return !state.loopIsBack
    }
    if isFree { return }
    _ = state.wait { state -> Bool? in
      if state.mover == .visitor { return nil }
      state.loopIsBack = false
      return true
    }
  }

  /// What was ordered since the last time. Nothing follows after `isClosed` was true.
  func take() -> (orders: [HTTPOrder], isClosed: Bool) {
    state.withLock { state in
      let orders = state.orders
      state.orders = []
      return (orders, state.isClosed)
    }
  }

  /// The same for a visitor, who leaves the end to the loop.
  func takeUnlessClosed() -> [HTTPOrder] {
    state.withLock { state in
      guard !state.isClosed else { return [] }
      defer { state.orders = [] }
      return state.orders
    }
  }

  func loopEnded() { state.withLock { $0.loop = nil } }
}

/// A request under way. It goes on when nobody holds this any more.
final class HTTPTransfer: Sendable {
  private let mailbox: HTTPMailbox
  private let cancelled = Atomic(false)

  init(_ mailbox: HTTPMailbox) { self.mailbox = mailbox }

  var isCancelled: Bool { cancelled.load(ordering: .acquiring) }

  /// Ends the request and its connection at once; no event follows, not even a last one.
  ///
  /// When this returns in a handler, the last event has come; from elsewhere one may be on its way.
  func cancel() {
    guard !cancelled.exchange(true, ordering: .acquiringAndReleasing) else { return }
    mailbox.cancel(self)
  }
}
