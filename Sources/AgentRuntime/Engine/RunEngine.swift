import JSON
import Synchronization

/// Drives the runs of this process: takes inputs, lets the machines decide, makes their records durable, then publishes and performs.
///
/// Everything here runs on one thread, the one that `EngineHost.post` calls back on; it may block in the store. What came in together is committed
/// together. Nothing is published, answered or acted on before its record is in the log.
package final class RunEngine {
  package struct Limits: Sendable {
    /// Runs that this process drives at once.
    package var maxConcurrentRuns = 1024
    package init() {}
  }

  let store: any RunStore
  let host: any EngineHost
  let models: any ModelCatalog
  let serverTools: any ServerTools
  let schemas: SchemaCache
  let limits: Limits
  /// Set once, before the first input.
  package weak var parent: (any Parent)?
  /// Agents in files. Set once, before the first input.
  package var agentFiles: (any AgentFiles)?
  /// Without it no agent can have MCP servers. Set once, before the first input.
  package var mcpServers: (any MCPServers)?
  /// Called at the end of a turn after which no run is at work.
  package var whenIdle: (() -> Void)?

  var live: [ULID: LiveRun] = [:]
  /// Runs that this process drives.
  var driven: Set<ULID> = []
  private var dirty: [LiveRun] = []
  var timers = Timers()
  /// Last published sequence of each run that the client sees.
  var watched: [ULID: Int] = [:]
  /// Watched runs whose streamed text comes from another process, if it comes.
  var observing: Set<ULID> = []
  /// Their streamed text that waits for the event it comes after.
  var foreignText: [ULID: [LiveChunk]] = [:]
  /// What was said in the branches of sessions used last.
  var histories: [BranchHistory] = []
  /// What the client has registered for its runs.
  var connection = ConnectionRegistrations()
  /// Sessions that the client observes.
  var sessionWatches: [ULID: SessionWatch] = [:]
  /// Runs whose continuation waits for a place.
  var placeQueue: [ULID] = []
  var lastWaitToken = 0
  /// No new work: the process is about to end.
  package internal(set) var isEnding = false
  /// Runs this connection started, resumed or submitted to, that had not ended when last seen.
  var touched: Set<ULID> = []
  var isTicking = false
  /// Changes by others may have been missed.
  var looksAgain = false
  let liveText = LiveText()
  /// Where the text of string blobs stands that clients read: a few, the last used last.
  var blobTexts: [BlobText] = []
  /// Blobs that the client is building.
  var unfinishedBlobs: [ULID: UnfinishedBlob] = [:]
  /// What was stored in this round of a turn, and need not be read back by what follows from it at once.
  var freshBlobs: [ULID: NewBlob] = [:]
  private var storeHasFailed = false
  private var isTidying = false
  private static let tidyingMilliseconds = 250

  package init(
    store: any RunStore, host: any EngineHost, models: any ModelCatalog, serverTools: any ServerTools, schemas: any SchemaCompiler,
    limits: Limits = Limits()
  ) {
    self.store = store
    self.host = host
    self.models = models
    self.serverTools = serverTools
    self.schemas = SchemaCache(compiler: schemas)
    self.limits = limits
  }

  // MARK: The turn

  /// Takes everything that came in, commits what was decided, until nothing is left to do.
  /// - Returns: when to call again at the latest, on the monotonic clock.
  package func turn(_ inputs: [@Sendable (RunEngine) -> Void]) -> Int? {
    for input in inputs { input(self) }
    for body in timers.takeDue(at: host.monotonicClock()) { body() }
    commit()
    tidySoon()
    if let whenIdle, isIdle { whenIdle() }
    return timers.nextDue
  }

  /// Not in the turn that made the work: what was decided then goes out first, and what follows from it at once is not held up either.
  private func tidySoon() {
    guard store.isUntidy, !isTidying else { return }
    isTidying = true
    _ = after(milliseconds: Self.tidyingMilliseconds) { [unowned self] in
      isTidying = false
      store.tidy()
    }
  }

  func after(milliseconds: Int, _ body: @escaping () -> Void) -> Timers.Token {
    timers.add(due: host.monotonicClock() + milliseconds, body)
  }

  package func makeID() -> ULID { ULID(milliseconds: host.wallClock().milliseconds, random: host.random()) }

  // MARK: Inputs

  /// Has a run decide something; durable and answered at the end of this turn.
  func input(
    _ run: LiveRun, _ decide: @escaping (inout RunMachine) throws(RuntimeError) -> Void,
    committed: @escaping (LiveRun) -> Void = { _ in }, answered: @escaping (LiveRun, RuntimeError?) -> Void = { _, _ in }
  ) {
    var input = LiveRun.Input(decide: decide, committed: committed, answered: answered)
    self.decide(run, &input)
    run.inputs.append(input)
    markDirty(run)
  }

  private func decide(_ run: LiveRun, _ input: inout LiveRun.Input) {
    run.machine.context.now = host.wallClock()
    run.machine.context.hasPlace = driven.count < limits.maxConcurrentRuns
    if !run.state.hasBegun { run.machine.context.mayBegin = mayBegin(run) }
    run.machine.context.abilities = parent?.abilities ?? ParentAbilities()
    run.machine.context.parentName = parent?.name
    input.error = nil
    do throws(RuntimeError) { try input.decide(&run.machine) } catch { input.error = error }
    countDriven(run)
  }

  func countDriven(_ run: LiveRun) {
    if run.isDriven(by: store.owner), live[run.runID] === run { driven.insert(run.runID) } else { driven.remove(run.runID) }
  }

  func markDirty(_ run: LiveRun) {
    guard !run.isDirty else { return }
    run.isDirty = true
    dirty.append(run)
  }

  // MARK: Commit

  private func commit() {
    while !dirty.isEmpty {
      let runs = dirty
      dirty = []
      var appending: [(run: LiveRun, effects: [RunEffect], records: [LogRecord])] = []
      var appends: [Append] = []
      for run in runs {
        run.isDirty = false
        let output = run.machine.takeOutput()
        appending.append((run, output.effects, output.records))
        guard !output.records.isEmpty else { continue }
        var append = Append(expectedPosition: run.committed, summary: run.state.summary, records: output.records, blobs: output.blobs)
        append.documents = (run.committed == 0 ? run.firstDocuments : []) + output.documents
        appends.append(append)
        for blob in output.blobs { freshBlobs[blob.id] = blob }
      }
      let results = submit(appends)
      var next = 0
      for (run, effects, records) in appending {
        if records.isEmpty {
          conclude(run, records, effects)
          continue
        }
        switch results {
        case .success(let list):
          conclude(run, list[next], records, effects)
          next += 1
        case .failure(let error): storeFailed(run, error)
        }
      }
      if !freshBlobs.isEmpty { freshBlobs = [:] }
    }
  }

  private func submit(_ appends: [Append]) -> Result<[AppendResult], StoreError> {
    if appends.isEmpty { return .success([]) }
    let answer = StoreAnswer()
    store.submit(appends) { result in answer.value.withLock { $0 = result } }
    guard let result = answer.value.withLock({ $0 }) else { preconditionFailure("the store did not complete on the engine's thread") }
    return result
  }

  private func conclude(_ run: LiveRun, _ result: AppendResult, _ records: [LogRecord], _ effects: [RunEffect]) {
    switch result {
    case .appended:
      run.committed = records.last?.position ?? run.committed
      conclude(run, records, effects)
    case .conflict:
      guard run.committed == 0, let placeWasTaken = run.placeWasTaken else { return decideAgain(run) }
      live[run.runID] = nil
      driven.remove(run.runID)
      run.inputs = []
      placeWasTaken()
    case .keyTaken(let other):
      live[run.runID] = nil
      driven.remove(run.runID)
      var error = RuntimeError(.runIdempotencyConflict, "another run was started with this idempotency key")
      error.details = [("runId", CarriedJSON(string: other.text))]
      for input in run.inputs { input.answered(run, error) }
    case .missing: drop(run, RuntimeError(.runNotFound, "the run was deleted"))
    }
  }

  /// Durable: tell, then act.
  private func conclude(_ run: LiveRun, _ records: [LogRecord], _ effects: [RunEffect]) {
    let inputs = run.inputs
    run.inputs = []
    for input in inputs where input.error == nil { input.committed(run) }
    let tell = { [self] in
      publish(run.runID, records)
      for effect in effects { perform(effect, run) }
    }
    // A request to the parent leaves in one write with the events that announce it.
    if let parent, effects.contains(where: \.asksParent) { parent.together(tell) } else { tell() }
    for input in inputs { input.answered(run, input.error) }
    afterChange(run)
  }

  /// The log moved on under us: read it anew and decide on that.
  private func decideAgain(_ run: LiveRun) {
    do throws(RuntimeError) {
      let before = run.committed
      guard let (state, position, records) = try load(run.runID, keepingAfter: before, disowning: run.loadedAt) else {
        return drop(run, RuntimeError(.runNotFound, "the run was deleted"))
      }
      run.machine = try run.machine.anew(state, after: records)
      run.committed = position
      publish(run.runID, records)
      reconcile(run)
      for index in run.inputs.indices { decide(run, &run.inputs[index]) }
      markDirty(run)
    } catch { drop(run, error) }
  }

  // MARK: Failure

  private func storeFailed(_ run: LiveRun, _ error: StoreError) {
    storeHasFailed = true
    host.log("the store failed under run \(run.runID): \(error.message)")
    drop(run, RuntimeError(error))
  }

  /// The run stops where its log ends; whoever waits is told.
  func drop(_ run: LiveRun, _ error: RuntimeError) {
    live[run.runID] = nil
    driven.remove(run.runID)
    stopWork(run)
    let inputs = run.inputs
    let waiters = run.waiters
    run.inputs = []
    run.waiters = []
    for input in inputs { input.answered(run, error) }
    for waiter in waiters {
      if let timer = waiter.timer { timers.cancel(timer) }
      waiter.reply(.failure(error))
    }
  }

  /// Ends what runs for the run in this process, without a word in the log.
  func stopWork(_ run: LiveRun) {
    run.modelCall?.call.cancel()
    run.modelCall = nil
    liveText.end(run.runID)
    for tool in run.runningTools.values { tool.stop() }
    run.runningTools = [:]
    run.servers?.session.end()
    run.servers = nil
    for timer in run.callTimers.values { timers.cancel(timer) }
    run.callTimers = [:]
    for callID in run.outCalls { parent?.closeInvocations(of: callID) }
    run.outCalls = []
    for question in run.questions.values { question.exchange.cancel(reason: "the bridge is no longer at work on the run") }
    run.questions = [:]
    if let timer = run.expiryTimer { timers.cancel(timer) }
    run.expiryTimer = nil
    if let timer = run.deadlineTimer { timers.cancel(timer) }
    run.deadlineTimer = nil
  }

  /// Calls the store; a failure becomes the error of the wire.
  func read<T>(_ body: () throws(StoreError) -> T) throws(RuntimeError) -> T {
    do throws(StoreError) {
      if storeHasFailed {
        try store.reopen()
        storeHasFailed = false
      }
      return try body()
    } catch {
      storeHasFailed = storeHasFailed || error.code != .newer
      throw RuntimeError(error)
    }
  }
}

/// What a submit was answered with, by the time it returns.
final class StoreAnswer: Sendable {
  let value = Mutex<Result<[AppendResult], StoreError>?>(nil)
}

/// Schemas compiled once, by their bytes.
final class SchemaCache {
  private let compiler: any SchemaCompiler
  private var compiled: [Bytes: any CompiledSchema] = [:]

  init(compiler: any SchemaCompiler) { self.compiler = compiler }

  func schema(_ json: CarriedJSON) throws(RuntimeError) -> any CompiledSchema {
    if let known = compiled[json.bytes] { return known }
    let schema = try compiler.compile(json)
    if compiled.count >= 1024 { compiled = [:] }
    compiled[json.bytes.compacted()] = schema
    return schema
  }

  /// What is wrong with `value`; a schema that does not compile (another version took it) says so.
  func failures(_ json: CarriedJSON, _ value: CarriedJSON) -> [String] {
    do throws(RuntimeError) { return try schema(json).failures(of: value) } catch { return ["the schema is not usable: \(error.message)"] }
  }
}
