import POSIXSupport
import Synchronization

/// What the loop is asked to do.
enum HTTPOrder: Sendable {
  case start(HTTPTransfer, HTTPRequest, @Sendable (HTTPEvent) -> Void)
  case cancel(HTTPTransfer)
  case call(atMilliseconds: Int, @Sendable () -> Void)
}

/// What passes from all threads to the one that moves the bytes.
///
/// It has no bound of its own: each order is of a turn of a run, which the engine holds and limits.
final class HTTPMailbox: Sendable {
  private struct State: Sendable {
    var orders: [HTTPOrder] = []
    /// There once the thread runs.
    var wake: WakeDescriptor?
    var loopThread: Thread.Identity?
    var isClosed = false

    /// Whom to signal: the first order wakes the loop for all that follow, and the loop itself looks here before it waits.
    mutating func add(_ order: HTTPOrder) -> WakeDescriptor? {
      orders.append(order)
      return orders.count == 1 && loopThread != Thread.current ? wake : nil
    }
  }

  private let state = Monitor(State())

  // MARK: From any thread

  /// Leaves an order; nil makes only sure that the thread runs. False when the client is closed.
  func post(_ order: HTTPOrder?, startThread: (WakeDescriptor) throws(SystemError) -> Void) throws(SystemError) -> Bool {
    let wake = try state.withLock { (state) throws(SystemError) -> (isOpen: Bool, toSignal: WakeDescriptor?) in
      guard !state.isClosed else { return (false, nil) }
      if state.wake == nil {
        let wake = try WakeDescriptor()
        try startThread(wake)
        state.wake = wake
      }
      return (true, order.flatMap { state.add($0) })
    }
    wake.toSignal?.signal()
    return wake.isOpen
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

  func loopStarted() {
    state.withLock { $0.loopThread = Thread.current }
  }

  /// What was ordered since the last time. Nothing follows after `isClosed` was true.
  func take() -> (orders: [HTTPOrder], isClosed: Bool) {
    state.withLock { state in
      let orders = state.orders
      state.orders = []
      return (orders, state.isClosed)
    }
  }
}

/// A request under way. It goes on when nobody holds this any more.
final class HTTPTransfer: Sendable {
  private let mailbox: HTTPMailbox
  private let cancelled = Atomic(false)

  init(_ mailbox: HTTPMailbox) { self.mailbox = mailbox }

  var isCancelled: Bool { cancelled.load(ordering: .acquiring) }

  /// Ends the request and its connection at once; no event follows, not even a last one.
  ///
  /// When this returns on the loop's thread, in a handler for example, the last event has come; from another thread one may be on its way.
  func cancel() {
    guard !cancelled.exchange(true, ordering: .acquiringAndReleasing) else { return }
    mailbox.cancel(self)
  }
}
