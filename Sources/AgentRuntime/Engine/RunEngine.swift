import JSON

/// Drives the runs of this process: takes inputs, lets the machines decide, makes their records durable, then publishes and performs.
///
/// Everything here runs on one thread at a time, the engine's: the one that takes a turn (`EngineHost.post`). It may block in the store. What came in together is committed
/// together. Nothing is published, answered or acted on before its record is in the log.
package final class RunEngine {
  package struct Limits: Sendable {
    /// Runs that this process drives at once.
    package var maxConcurrentRuns = 1024
    /// Runs that have not ended in one tree of sub-agents, the first among them.
    package var maxTreeRuns = SubAgent.mostRuns
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
  /// Answers those servers.
  package let questionsOfServers: ServerQuestions
  var serverQuestions: [ObjectIdentifier: ServerQuestion] = [:]
  /// Called at the end of a turn after which no run is at work.
  package var whenIdle: (() -> Void)?

  var live: [ULID: LiveRun] = [:]
  /// Runs that this process drives.
  var driven: Set<ULID> = []
  var dirty: [LiveRun] = []
  var timers = Timers()
  /// Those of calls of sub-agents whose runs are not in memory.
  var sleepingTimers: [ULID: [ULID: Timers.Token]] = [:]
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
  /// What the changes of the sessions changed last have led to.
  var sessionToolboxes = SessionToolboxes()
  /// Sessions that the client observes.
  var sessionWatches: [ULID: SessionWatch] = [:]
  /// What came with an idempotency key while another request is beginning a run with it.
  var starting: [String: [() -> Void]] = [:]
  /// Runs whose continuation waits for a place.
  var placeQueue: [ULID] = []
  var lastWaitToken = 0
  /// No new work: the process is about to end.
  package internal(set) var isEnding = false
  /// Runs this connection started, resumed or submitted to, that had not ended when last seen.
  var touched: Set<ULID> = []
  var isTicking = false
  /// When the store was last asked for changes, on the monotonic clock.
  var lastTick = 0
  /// Others are shown that this process is at work.
  var keepsLease = false
  /// Changes by others may have been missed.
  var looksAgain = false
  /// Which run keeps a queued one from beginning, or nil for none, as far as it was found out since something changed.
  var knownBlockers: [ULID: ULID?] = [:]
  /// The turns of branches that wait.
  var queues: [ULID: BranchQueue] = [:]
  /// For messages that were passed on: to which one.
  var links: [ULID: ULID] = [:]
  /// Of the runs that wait, the one that was looked after last, when there are too many to look after all at once.
  var lastLookedAfter = ULID(high: 0, low: 0)
  private var lastID = ULID(high: 0, low: 0)
  /// Branches that a turn is added to by what is decided now, and the starts that wait to be behind it.
  var extendedBranches: [ULID: [() -> Void]] = [:]
  let liveText = LiveText()
  /// Where the text of string blobs stands that clients read: a few, the last used last.
  var blobTexts: [BlobText] = []
  /// Blobs that the client is building.
  var unfinishedBlobs: [ULID: UnfinishedBlob] = [:]
  /// What was stored in this round of a turn, and need not be read back by what follows from it at once.
  var freshBlobs: [ULID: NewBlob] = [:]
  var storeHasFailed = false
  /// Runs that were let go when the store failed, and whose logs may still say that this process is at work on them.
  var letGo: Set<ULID> = []
  /// When they are looked at next, on the monotonic clock.
  var nextLookAtLetGo = 0
  /// Why runs that nobody drives could not be taken up, as it was told last.
  var orphanFaults: [ULID: String] = [:]
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
    questionsOfServers = ServerQuestions(host: host)
  }

  // MARK: The turn

  /// Takes everything that came in, commits what was decided, until nothing is left to do.
  /// - Returns: when to call again at the latest, on the monotonic clock.
  package func turn(_ inputs: [@Sendable (RunEngine) -> Void]) -> Int? {
    // In a turn in which nothing came in, the look at the store says whether others have changed something.
    if !inputs.isEmpty || !isTicking { forgetBlockersIfChanged() }
    forgetOldQueues()
    lookBeforeActing()
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

  /// Ids of one millisecond ascend too: lists go by them.
  package func makeID() -> ULID {
    let id = host.newID()
    lastID = id.milliseconds == lastID.milliseconds && id <= lastID ? lastID.next : id
    return lastID
  }

  // MARK: Inputs

  /// Has a run decide something; durable and answered at the end of this turn.
  func input(
    _ run: LiveRun, _ decide: @escaping (inout RunMachine) throws(RuntimeError) -> Void,
    committed: @escaping (LiveRun) -> Void = { _ in }, answered: @escaping (LiveRun, RuntimeError?) -> Void = { _, _ in }
  ) {
    var input = LiveRun.Input(decide: decide, committed: committed, answered: answered)
    if !run.isNewInQueue { knownBlockers = [:] }
    self.decide(run, &input)
    run.inputs.append(input)
    markDirty(run)
  }

  func decide(_ run: LiveRun, _ input: inout LiveRun.Input) {
    catchUp(run)
    prepare(run)
    input.error = nil
    do throws(RuntimeError) { try input.decide(&run.machine) } catch { input.error = error }
    countDriven(run)
  }

  /// A tree of runs is one.
  func countDriven(_ run: LiveRun) {
    if run.isDriven(by: store.owner), run.state.parent == nil, live[run.runID] === run {
      driven.insert(run.runID)
    } else {
      driven.remove(run.runID)
    }
  }

  func markDirty(_ run: LiveRun) {
    run.tree?.note(run)
    guard !run.isDirty else { return }
    run.isDirty = true
    dirty.append(run)
  }
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
