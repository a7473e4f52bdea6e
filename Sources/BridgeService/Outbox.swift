import AgentRuntime
import BridgeProtocol
import JSON
import JSONRPC
import Synchronization

/// The order of what goes to the client: a run's events, the requests that they announce, the responses that follow them.
///
/// When the client reads slowly nothing is kept here but cursors: events are read from the store again when there is room, and what is
/// streamed is joined (`WaitingDeltas`). Everything is called on the engine's thread, except `stream`.
final class Outbox: Sendable {
  private let peer: Peer
  private let connection: Connection
  private let host: any EngineHost
  private let state = EngineBound(State())
  /// Runs whose streamed text the client sees, and text that waits for room.
  private let streams = Mutex(Streams())

  private struct State {
    var feeds: [ULID: Feed] = [:]
    var lagging: [ULID] = []
    /// Actions that wait for room, besides those of feeds.
    var held: [() -> Void] = []
    var fitting: MessageFitting?
    /// Blobs that this connection wrote or was sent.
    var blobs: Set<ULID> = []
  }

  private struct Streams {
    var runs: Set<ULID> = []
    /// The `_meta` of the events of those that were started with a trace context; few are.
    var traces: [ULID: CarriedJSON] = [:]
    var pending = WaitingDeltas()
    /// Runs whose events wait: what is streamed waits with them.
    var lagging: Set<ULID> = []
    /// Text that waited was taken out of `pending` and is on its way: what is streamed meanwhile comes after it.
    var isFlushing = false
  }

  init(peer: Peer, connection: Connection, host: any EngineHost) {
    self.host = host
    self.peer = peer
    self.connection = connection
  }

  // MARK: Feeds

  func isSubscribed(_ runID: ULID) -> Bool { state.value.feeds[runID] != nil }

  /// The client sees the run's events after `sequence` from now on. An earlier `sequence` than what it saw replays.
  ///
  /// - Parameter last: the run's last event now; when it is further than `sequence`, what is between is replayed from the store.
  func subscribe(_ runID: ULID, after sequence: Int, last: Int, on engine: RunEngine) {
    if let feed = state.value.feeds[runID] {
      guard sequence < last else { return }
      feed.cursor = sequence
    } else {
      state.value.feeds[runID] = Feed(runID: runID, cursor: sequence)
    }
    let trace = engine.trace(of: runID)
    streams.withLock { streams in
      streams.runs.insert(runID)
      if let trace { streams.traces[runID] = trace }
    }
    engine.watch(runID, after: last, shown: min(sequence, last))
    if sequence < last {
      markLagging(runID)
      pump(engine)
    }
  }

  func unsubscribe(_ runID: ULID, on engine: RunEngine) {
    streams.withLock { streams in
      streams.runs.remove(runID)
      streams.traces[runID] = nil
      streams.lagging.remove(runID)
      streams.pending.drop(runID)
    }
    state.value.feeds.removeValue(forKey: runID)?.openAllGates()
    engine.unwatch(runID)
  }

  func publish(_ runID: ULID, _ events: [PublishedEvent]) {
    guard let feed = state.value.feeds[runID] else { return }
    let completesText = events.contains { $0.type == "model.completed" || $0.type == "run.cancelled" || $0.type == "model.retried" }
    if feed.isLagging || peer.isCongested || events[0].sequence != feed.cursor + 1 {
      if completesText { dropPending(runID) } else { dropProgress(ofCallsIn: events) }
      markLagging(runID)
      if !peer.isCongested { host.post { [weak self] engine in self?.pump(engine) } }
      return
    }
    // What the client cannot read whole is prepared by the pump, which has the engine at hand.
    if let fitting = fitting(), let longest = events.map(\.bytes.count).max(), !fitting.fits(longest) {
      markLagging(runID)
      return host.post { [weak self] engine in self?.pump(engine) }
    }
    flushPending(runID)
    // Text that the client had no room for is in the message that completes it.
    if completesText { dropPending(runID) }
    send(events.map { (sequence: $0.sequence, type: $0.type, bytes: $0.bytes) }, feed)
  }

  /// How messages are made to fit this client; nil when it reads whatever comes.
  func fitting() -> MessageFitting? {
    if let known = state.value.fitting { return known }
    guard let most = connection.capabilities.maxMessageBytes else { return nil }
    let fitting = MessageFitting(maxMessageBytes: most)
    state.value.fitting = fitting
    return fitting
  }

  /// A value for a message to this client.
  ///
  /// - Parameter reserved: Bytes that something else in the line takes.
  func fitted(
    _ json: CarriedJSON, besides reserved: Int = 0, _ engine: RunEngine, lastResort: MessageFitting.LastResort = .whole,
    _ naming: BlobNaming = .none
  ) throws(RuntimeError) -> CarriedJSON {
    guard let fitting = fitting(), !fitting.isReady(json, besides: reserved, naming) else { return json }
    let fitted = try fitting.fit(json, besides: reserved, lastResort, naming, engine)
    BlobNames.collect(in: fitted.bytes, into: &state.value.blobs)
    // What the log names in a part that travels as a blob is the client's to name all the same.
    if lastResort == .data { BlobNames.collect(in: json.bytes, into: &state.value.blobs) }
    return fitted
  }

  private func send(_ events: [(sequence: Int, type: String, bytes: Bytes)], _ feed: Feed) {
    let capabilities = connection.capabilities
    var lines: [(StaticString, CarriedJSON)] = []
    for event in events where event.sequence > feed.cursor {
      feed.cursor = event.sequence
      guard capabilities.wants(eventType: event.type) else { continue }
      lines.append((WireNotification.runEvent, CarriedJSON(trusted: event.bytes)))
      if event.bytes.count > 512 { BlobNames.collect(in: event.bytes, into: &state.value.blobs) }
    }
    if !lines.isEmpty { peer.notify(lines) }
    feed.openGates()
  }

  private func markLagging(_ runID: ULID) {
    guard let feed = state.value.feeds[runID], !feed.isLagging else { return }
    feed.isLagging = true
    state.value.lagging.append(runID)
    streams.withLock { _ = $0.lagging.insert(runID) }
  }

  /// Sends what waited, as far as there is room.
  func pump(_ engine: RunEngine) {
    while !peer.isCongested, !state.value.held.isEmpty { state.value.held.removeFirst()() }
    flushPending(nil)
    var round = state.value.lagging
    state.value.lagging = []
    while !round.isEmpty {
      let runID = round.removeFirst()
      guard let feed = state.value.feeds[runID], feed.isLagging else { continue }
      if peer.isCongested {
        state.value.lagging += [runID] + round
        return
      }
      if replay(feed, engine) { catchUp(feed) } else { round.append(runID) }
    }
  }

  private func catchUp(_ feed: Feed) {
    feed.isLagging = false
    streams.withLock { _ = $0.lagging.remove(feed.runID) }
    flushPending(feed.runID)
  }

  /// Sends the next events of the log; true when there are no more.
  private func replay(_ feed: Feed, _ engine: RunEngine) -> Bool {
    do throws(RuntimeError) {
      let events = try engine.events(of: feed.runID, after: feed.cursor, limit: 256, maxBytes: 256 << 10)
      var ready: [(sequence: Int, type: String, bytes: Bytes)] = []
      for event in events {
        let json = try fitted(CarriedJSON(trusted: event.event), engine, lastResort: .data, .logged)
        ready.append((event.sequence, EventType.read(event.event), json.bytes))
      }
      send(ready, feed)
      return events.isEmpty
    } catch {
      // The store failed: what waited behind the events is told so by its own answer.
      feed.openAllGates()
      return true
    }
  }

  var hasBacklog: Bool { !state.value.lagging.isEmpty || !state.value.held.isEmpty }

  /// At the end of the process: what waited for events that the client does not read goes out without them.
  func releaseAll() {
    for feed in state.value.feeds.values { feed.openAllGates() }
    let held = state.value.held
    state.value.held = []
    for action in held { action() }
  }

  // MARK: Order

  /// Does `action` when the run's events up to `sequence` are out; at once for a run that the client does not see.
  func after(_ sequence: Int, of runID: ULID, _ action: @escaping () -> Void) {
    guard let feed = state.value.feeds[runID] else { return action() }
    feed.after(sequence, action)
  }

  /// Does `action` when the client has room.
  func whenRoom(_ action: @escaping () -> Void) {
    if peer.isCongested || !state.value.held.isEmpty { state.value.held.append(action) } else { action() }
  }

  /// Forgets a run that has ended, when many are remembered.
  func trim(_ engine: RunEngine) {
    guard state.value.feeds.count > 20000 else { return }
    let old = state.value.feeds.values.filter { !$0.isLagging && !$0.isAwaited }.map(\.runID).sorted().prefix(10000)
    for runID in old where engine.hasEndedOrIsUnknown(runID) { unsubscribe(runID, on: engine) }
  }

  // MARK: Streamed text

  /// From any thread.
  func stream(_ runID: ULID, _ delta: StreamedDelta) {
    guard connection.capabilities.wants(eventType: delta.type) else { return }
    let traces = streams.withLock { streams -> [ULID: CarriedJSON]? in
      guard streams.runs.contains(runID) else { return nil }
      if !streams.pending.isEmpty || streams.isFlushing || streams.lagging.contains(runID) || peer.isCongested {
        streams.pending.add(runID, delta)
        return nil
      }
      return streams.traces
    }
    if let traces { notify([(runID, delta)], traces) }
  }

  func streamForeign(_ chunk: LiveChunk) {
    guard state.value.feeds[chunk.runID]?.isLagging == false, !peer.isCongested,
      connection.capabilities.wants(eventType: EventType.read(chunk.event))
    else { return }
    let traces = streams.withLock { $0.traces }
    let event = chunk.event.traced(traces[chunk.runID])
    if let fitting = fitting(), !fitting.fits(event.count) {
      // As what is streamed here: text in shorter pieces, progress with less of its text.
      if let delta = StreamedDelta(chunk.event) { notify([(chunk.runID, delta)], traces) }
      return
    }
    peer.notify(WireNotification.runEvent, CarriedJSON(trusted: event))
  }

  /// Sends the text that waited of one run, or of all, and what is streamed meanwhile.
  private func flushPending(_ runID: ULID?) {
    var runID = runID
    while true {
      let (ready, traces) = streams.withLock { streams -> ([(runID: ULID, delta: StreamedDelta)], [ULID: CarriedJSON]) in
        var ready: [(runID: ULID, delta: StreamedDelta)] = []
        if !streams.pending.isEmpty, !peer.isCongested {
          let longest = longestText(besides: streams.traces.values.map(\.bytes.count).max() ?? 0)
          ready = streams.pending.take(longestOutput: longest) { run in
            (runID == nil || run == runID) && state.value.feeds[run]?.isLagging == false
          }
        }
        streams.isFlushing = !ready.isEmpty
        return (ready, streams.traces)
      }
      if ready.isEmpty { return }
      notify(ready, traces)
      runID = nil
    }
  }

  private func notify(_ deltas: [(runID: ULID, delta: StreamedDelta)], _ traces: [ULID: CarriedJSON]) {
    let now = host.wallClock()
    let most = connection.capabilities.maxMessageBytes
    let longest = longestText(besides: traces.isEmpty ? 0 : deltas.map { traces[$0.runID]?.bytes.count ?? 0 }.max() ?? 0)
    let events = StreamedDelta.merged(deltas, longest: longest).map { runID, delta in
      let whole = delta.event(of: runID, at: now).traced(traces[runID])
      return Self.fits(whole, most) ? whole : delta.shortened(longest: longest).event(of: runID, at: now).traced(traces[runID])
    }
    // What is still too long has a trace, or a number, that the client cannot read.
    peer.notify(events.filter { Self.fits($0, most) }.map { (WireNotification.runEvent, CarriedJSON(trusted: $0)) })
  }

  private static func fits(_ event: Bytes, _ most: Int?) -> Bool { event.count + 256 <= most ?? .max }

  /// How long a streamed text may be that the client can read, in bytes.
  private func longestText(besides traceBytes: Int) -> Int {
    guard let most = connection.capabilities.maxMessageBytes else { return StreamedDelta.longestText }
    // A character takes at most six bytes in JSON.
    return max(1, min(StreamedDelta.longestText, (most - 512 - traceBytes) / 6))
  }

  private func dropPending(_ runID: ULID) { streams.withLock { $0.pending.drop(runID) } }

  /// A call's progress never comes after its result.
  private func dropProgress(ofCallsIn events: [PublishedEvent]) {
    for event in events where event.type == "tool.completed" && !streams.withLock({ $0.pending.isEmpty }) {
      guard let callID = CarriedJSON(trusted: event.bytes)["data"]?["callId"]?.stringValue.flatMap(ULID.init) else { continue }
      streams.withLock { $0.pending.dropProgress(of: callID) }
    }
  }

  // MARK: Blobs

  func noteBlob(_ id: ULID) { state.value.blobs.insert(id) }
  func knowsBlob(_ id: ULID) -> Bool { state.value.blobs.contains(id) }
}

/// A value that only the engine's thread touches.
final class EngineBound<Value>: @unchecked Sendable {
  // Unchecked, because: every use is in a call that the engine's thread makes (see `Outbox`), one at a time and each after the one before; nothing else has a reference to the value.
  var value: Value
  init(_ value: Value) { self.value = value }
}

extension Bytes {
  /// The ephemeral event with what the run's other events have as their `_meta`.
  fileprivate func traced(_ trace: CarriedJSON?) -> Bytes {
    guard let trace else { return self }
    var writer = JSONWriter(capacity: count + trace.bytes.count + 16)
    writer.beginObject()
    CarriedJSON(trusted: self).forEachMember { name, value in
      writer.key(name)
      writer.value(value)
    }
    writer.member("_meta", trace)
    writer.endObject()
    return writer.finish()
  }
}

/// The ids of `$blob` references in an event.
enum BlobNames {
  static func collect(in event: Bytes, into names: inout Set<ULID>) {
    var from = 0
    while let place = event.firstIndex(of: "\"$blob\":\"", from: from) {
      let start = place + 9
      guard start + 26 <= event.count else { return }
      if let id = ULID(event[start..<start + 26].string) { names.insert(id) }
      from = start
    }
  }
}
