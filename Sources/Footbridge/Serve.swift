import AgentRuntime
import BridgeService
import EngineHosting
import JSON
import JSONRPC
import POSIXSupport
import SQLiteStore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// `footbridge serve`: the protocol on stdin and stdout, from the first byte to a clean end.
final class Serve {
  private let runtime: Runtime
  private let service: BridgeService
  private let peer: Peer
  private let happenings: Happenings

  private static let signals = [SIGTERM, SIGINT, SIGHUP]
  /// Input that is not taken up so long after a signal does not keep the process from ending.
  private static let presentInputMilliseconds = 500
  /// Nor does a turn of the engine that does not end. One that waits for the store does, after five seconds: what was asked is answered then.
  private static let engineMilliseconds = 10_000

  init(_ options: Options, _ descriptors: consuming ProtocolDescriptors) throws(StartupError) {
    var limits = PeerLimits()
    limits.maxMessageBytes = options.maxMessageBytes
    limits.readerStackBytes = EngineThread.stackSize
    let settings = ServiceSettings(
      version: Version.text, isStrict: options.isStrict, onEOF: options.onEOF, limits: limits, maxConcurrentRuns: options.maxConcurrentRuns,
      openRPC: { OpenRPCDocument.line })
    let log = Log(level: options.logLevel, format: options.logFormat)
    let thread = EngineThread { log.write(.warning, $0) }
    do throws(SystemError) {
      let happenings = try Happenings()
      self.happenings = happenings
      service = BridgeService(
        settings: settings, host: thread, onInitialize: { happenings.add(.initialized) }, onRest: { thread.rest(standIn: $0) },
        onEnd: { happenings.add(.connection($0)) })
      peer = try Peer(
        input: descriptors.input, output: descriptors.output, framing: options.framing, limits: limits, errors: ErrorMapping.peerErrors,
        handler: service)
    } catch { throw StartupError(error) }
    service.attach(to: peer)
    // What the client says first is taken apart while the store is opened. The answers wait for that: of a store that cannot be opened the
    // message on standard error and the exit status tell, and nothing else. Where agents are to be checked or runs to be adopted, that comes before all that a
    // client wants.
    let readsAhead = options.agents == nil && !options.adopts
    do throws(SystemError) { if readsAhead { try peer.beginInput() } } catch { throw StartupError(error) }
    runtime = try Runtime(options, thread: thread, log: log)
    do throws(SystemError) {
      if readsAhead { try peer.beginOutput() }
      try runtime.start(parent: service)
    } catch { throw StartupError(error) }
    if readsAhead { return }
    do throws(StartupError) { try runtime.checkAgents() } catch {
      runtime.close()
      throw error
    }
    runtime.adopt()
    do throws(SystemError) { try peer.start() } catch { throw StartupError(error) }
  }

  /// Works until the client or a signal ends it.
  /// - Returns: the exit status.
  func run(_ signals: consuming SignalDescriptor) throws(SystemError) -> Int32 {
    var waiting = PollSet(count: 2)
    var isDraining = false
    while true {
      waiting.watch(0, signals.descriptor, for: .readable)
      waiting.watch(1, happenings.wake.descriptor, for: .readable)
      try waiting.wait()
      if let signal = signals.take() {
        // A second one ends the process as if nobody listened, whatever the engine is at.
        Signals.restore(Self.signals)
        runtime.log.write(.info, "signal \(signal): the runs are parked")
        return finish(.signal, signals)
      }
      for happening in happenings.take() {
        switch happening {
        case .initialized: runtime.prepare()
        case .connection(.hungUp), .connection(.outputLost): return finish(.hangUp, signals)
        case .connection(.inputEnded):
          isDraining = true
          drain()
        case .idle: if isDraining { return finish(.hangUp, isDraining: true, signals) }
        }
      }
    }
  }

  /// No more input: work goes on as far as it can.
  private func drain() {
    let service = service
    let happenings = happenings
    runtime.thread.post { engine in
      service.clientIsGone()
      engine.drain()
      engine.whenIdle = { happenings.add(.idle) }
    }
  }

  private func finish(_ ending: RunEngine.Ending, isDraining: Bool = false, _ signals: borrowing SignalDescriptor) -> Int32 {
    var isDraining = isDraining
    // One that drains sees to them itself.
    if case .hangUp = ending, !isDraining { Signals.allowOne(Self.signals) }
    let service = service
    let thread = runtime.thread
    let engineMilliseconds = Self.engineMilliseconds
    // What the client said before the signal counts, as it does before the end of the input.
    if case .signal = ending { awaitPresentInput() }
    peer.stopReading()
    let leavesWork = thread.perform(within: engineMilliseconds) { engine in
      service.clientIsGone()
      engine.end(ending)
      return engine.leavesWork
    }
    guard let leavesWork else { return abandon() }
    runtime.beginToClose()
    guard thread.settle(within: engineMilliseconds) else { return abandon() }
    while flush(isDraining: &isDraining, signals) {
      guard let isDone = thread.perform(within: engineMilliseconds, { service.pump($0) }) else { return abandon() }
      if isDone { break }
    }
    guard thread.perform(within: engineMilliseconds, { _ in service.answerTheRest() }) != nil else { return abandon() }
    _ = flush(isDraining: &isDraining, signals)
    runtime.close()
    if let failure = peer.outputFailure {
      runtime.log.write(.error, "standard output could not be written: \(failure.text)")
      return ExitStatus.failure.rawValue
    }
    return isDraining && leavesWork ? ExitStatus.waiting.rawValue : ExitStatus.success.rawValue
  }

  private func awaitPresentInput() {
    let isRead = Monitor(false)
    peer.afterPresentInput { isRead.update { $0 = true } }
    _ = isRead.wait(untilMilliseconds: Clock.monotonicMilliseconds() + Self.presentInputMilliseconds) { $0 ? true : nil }
  }

  /// Waits until what is to be written is written; false when it never will be. A signal ends draining.
  private func flush(isDraining: inout Bool, _ signals: borrowing SignalDescriptor) -> Bool {
    if isDraining {
      let descriptor = signals.descriptor
      if peer.flush(until: { !PollSet.look(descriptor, for: .readable).isEmpty }) { return true }
      guard let signal = signals.take() else { return false }
      Signals.restore(Self.signals)
      isDraining = false
      runtime.log.write(.info, "signal \(signal): what is not read soon is not waited for")
    }
    return peer.flush(patience: BridgeService.patienceMilliseconds)
  }

  /// The engine does not come round: what is in the log is there, and the runs are left as by a crash.
  private func abandon() -> Int32 {
    runtime.log.write(.error, "a turn of the engine does not end: the process ends without it, and its runs are as the store has them")
    runtime.abandon()
    return ExitStatus.internalError.rawValue
  }
}

/// What the main thread waits for besides signals.
private final class Happenings: Sendable {
  enum Happening: Sendable {
    case initialized
    case connection(ConnectionEnd)
    case idle
  }

  private let list = Monitor<[Happening]>([])
  let wake: WakeDescriptor

  init() throws(SystemError) { wake = try WakeDescriptor() }

  func add(_ happening: Happening) {
    list.withLock { $0.append(happening) }
    wake.signal()
  }

  func take() -> [Happening] {
    wake.drain()
    return list.withLock { list in
      defer { list = [] }
      return list
    }
  }
}
