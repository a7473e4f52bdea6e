import AgentRuntime
import JSON
import TestSupport

/// One seed: processes that share a store, whose every port fails now and then, and whose steps come in an order that the seed chooses.
///
/// Nothing runs by itself. Each step is one turn of one engine, one answer of a model, a tool or a client, one request, one fault, or a piece of
/// time; while an engine is in the store, others may take steps too. So two runs of one seed are the same to the byte, as long as nothing depends on
/// the order of a dictionary (see Main.swift).
final class Simulation {
  struct Request {
    let words: String
    let process: VirtualProcess
    let answer: Answer
    var given: [String: ToolResult] = [:]
    var isTold = false
  }

  let seed: UInt64
  let world = VirtualWorld()
  let judge = Judge()
  var chance: Chance
  private(set) var trace: [String] = []
  private(set) var steps = 0
  private(set) var deaths = 0
  var requests: [Request] = []
  /// Everything answers at once, and nothing fails any more.
  private(set) var isHealing = false
  /// Engines that are in the store, one inside the other.
  private var inStore: [VirtualProcess] = []
  private var watching: Set<String> = []
  private var finishedTurns: [ULID: Set<Int>] = [:]

  init(seed: UInt64) {
    self.seed = seed
    chance = Chance(seed)
  }

  var living: [VirtualProcess] { world.processes.filter { !$0.isKilled } }
  var awake: [VirtualProcess] { living.filter { !$0.isFrozen } }

  func note(_ line: String) { trace.append("\(world.clock.milliseconds) \(line)") }
  func name(_ process: VirtualProcess) -> String { "p\(world.processes.firstIndex { $0 === process } ?? 0)" }

  /// Plays the seed to its end.
  func play() {
    launch()
    launch()
    begin(living[0])
    let length = 60 + chance.below(200)
    while steps < length, judge.violation == nil { step() }
    if judge.violation == nil { heal() }
    // They and the simulation hold one another.
    for process in world.processes {
      process.store.beforeSubmit = nil
      process.store.afterSubmit = nil
      process.parent.answer = nil
      process.parent.answerQuestion = nil
      process.parent.onInvoke = nil
      process.tools.answer = { _ in nil }
    }
  }

  // MARK: Processes

  func launch() {
    let process = world.launch(
      model: ScriptedModel { [unowned self] _ in isHealing ? .say("healed") : .held },
      tools: { [unowned self] call in isHealing ? .text("\(call.tool.name) healed") : nil })
    process.isStepped = true
    // What is stopped ends when it is moved, perhaps beside its next run.
    process.tools.lingers = true
    process.parent.abilities = chance.below(4) == 0 ? ParentAbilities() : .people
    process.parent.answersInvocations = chance.below(5) > 0
    process.parent.answer = { [unowned self] in isHealing ? .text("\($0.name) healed") : nil }
    process.parent.answerQuestion = { [unowned self] request in isHealing ? Plot.consent(to: request) : nil }
    process.parent.onInvoke = { [unowned self] invocation in
      if (judge.states[invocation.runID]?.sequence ?? 0) < invocation.afterSequence {
        judge.fault("a request was sent that is not in the log")
      }
    }
    var batch: [Append] = []
    process.store.beforeSubmit = { [unowned self, unowned process] appends in
      disturb(process)
      batch = appends
    }
    process.store.afterSubmit = { [unowned self, unowned process] results in
      note(lapsesIn: living)
      let taken = zip(batch, results).filter { $0.1 == .appended }.map(\.0)
      for line in judge.take(taken, by: process.store.owner) { note("  \(name(process)) appends \(line)") }
      if results.contains(.conflict) { note("  \(name(process)) has a conflict") }
      if !isHealing, chance.below(150) == 0 { kill(process, "after a commit") }
    }
    note("\(name(process)) begins")
  }

  /// What happens elsewhere between a decision and its commit.
  private func disturb(_ process: VirtualProcess) {
    if isHealing { return }
    if chance.below(150) == 0 { return kill(process, "before a commit") }
    guard inStore.count < 2, chance.below(3) == 0 else { return }
    inStore.append(process)
    note("  while \(name(process)) commits:")
    for _ in 0...chance.below(4) { step() }
    inStore.removeLast()
  }

  func kill(_ process: VirtualProcess, _ words: String) {
    note("\(name(process)) is killed \(words)")
    deaths += 1
    judge.lapsed.insert(process.store.owner)
    process.kill()
  }

  // MARK: Steps

  func step() {
    steps += 1
    if living.isEmpty || (living.count < 3 && chance.below(40) == 0) { launch() }
    let able = awake.filter { process in !inStore.contains { $0 === process } }
    switch chance.below(100) {
    case 0..<35: turn(able)
    case 35..<45: if inStore.isEmpty { passTime() }
    case 45..<56: Plot.moveModel(self, able)
    case 56..<63: Plot.moveTool(self, able)
    case 63..<75: Plot.moveParent(self, able)
    case 75..<94: if let process = able.randomElement(using: &chance) { Plot.request(self, process) }
    default: misfortune(able)
    }
    listen()
    note(lapsesIn: living)
  }

  private func turn(_ able: [VirtualProcess]) {
    guard let process = able.filter(\.hasMore).randomElement(using: &chance) else { return }
    note("\(name(process)) takes a turn")
    process.step()
  }

  private func passTime() {
    let span = [1, 10, 60, 60, 250, 1000, 12_000][chance.below(7)]
    let end = world.clock.milliseconds + span
    // Timers are taken when their process takes its turn, be it late.
    let next = awake.compactMap(\.nextDue).filter { $0 > world.clock.milliseconds }.min()
    world.clock.advance(to: chance.below(2) == 0 ? min(end, next ?? end) : end)
  }

  private func note(lapsesIn processes: [VirtualProcess]) {
    for process in processes where process.store.leaseLeft(of: process.store.owner) == 0 { judge.lapsed.insert(process.store.owner) }
  }

  private func misfortune(_ able: [VirtualProcess]) {
    if let frozen = living.first(where: \.isFrozen), chance.below(2) == 0 {
      note("\(name(frozen)) wakes")
      return frozen.thaw()
    }
    guard let process = able.randomElement(using: &chance) else { return }
    switch chance.below(12) {
    case 0, 1:
      note("the next append of \(name(process)) fails")
      process.store.faults = [.refused(StoreError(.full, "full"))]
    case 2, 3:
      note("the answer to the next append of \(name(process)) is lost")
      process.store.faults = [.answerLost(StoreError(.unavailable, "lost"))]
    case 4:
      note("\(name(process)) cannot read, or can again")
      process.store.readFault = process.store.readFault == nil ? StoreError(.unavailable, "unreadable") : nil
    case 5, 6, 7:
      note("\(name(process)) is frozen")
      process.freeze()
    case 8:
      note("the client of \(name(process)) hangs up")
      process.parent.answersInvocations = false
      process.isStepped = false
      process.act { $0.end(.hangUp) }
      if process.isKilled { return }
      listen()
      if requests.contains(where: { $0.process === process && !$0.answer.isThere }) { judge.fault("a request was not answered at the end") }
      kill(process, "at its end")
    default: kill(process, "")
    }
  }

  /// Looks at what was answered since the last time.
  func listen() {
    for index in requests.indices where !requests[index].isTold && requests[index].answer.isThere {
      requests[index].isTold = true
      let request = requests[index]
      let said = request.answer.error?.kind.name ?? request.answer.outcome.map { "\($0.status.rawValue)" } ?? ""
      note("  \(name(request.process)) answers \(request.words): \(said)")
      if let outcome = request.answer.outcome { judge.told(outcome) }
      if let verdicts = request.answer.verdicts { judge.told(verdicts, of: request.given) }
    }
  }

  func ask(_ words: String, _ process: VirtualProcess, given: [String: ToolResult] = [:], _ body: () -> Answer) {
    note("\(name(process)) is asked to \(words)")
    requests.append(Request(words: words, process: process, answer: body(), given: given))
  }

  /// Has the client see the run from here on; once, since what it sees then has no gap.
  func watch(_ run: ULID, _ process: VirtualProcess, after sequence: Int) {
    guard process.parent.events[run] == nil, watching.insert("\(process.id) \(run)").inserted else { return }
    note("\(name(process)) is asked to show \(judge.name(run))")
    process.watch(run, after: sequence)
  }

  /// A turn that was asked for and has neither been given nor given up.
  func openTurns(_ able: [VirtualProcess]) -> [(process: VirtualProcess, index: Int)] {
    able.flatMap { process in
      let done = finishedTurns[process.id, default: []]
      return process.model.calls.indices.filter { !done.contains($0) && !process.model.calls[$0].isCancelled }.map { (process, $0) }
    }
  }

  func finishTurn(_ process: VirtualProcess, _ index: Int, _ signal: ModelSignal) {
    finishedTurns[process.id, default: []].insert(index)
    process.model.calls[index].send(signal)
  }
}

extension VirtualProcess {
  /// Its owner number as a key.
  var id: ULID { ULID(high: 0, low: UInt64(store.owner.number)) }
}

// MARK: The end

extension Simulation {
  /// All faults are over: whatever was begun comes to its end, and whoever waits gets an answer.
  private func heal() {
    note("all faults are over")
    isHealing = true
    if living.isEmpty { launch() }
    for process in living {
      process.store.faults = []
      process.store.readFault = nil
      if process.isFrozen { process.thaw() }
      process.isStepped = false
    }
    launch()
    let last = living[living.count - 1]
    last.isStepped = false
    last.parent.abilities = .people
    last.parent.answersInvocations = true
    for round in 0..<30 {
      letGo()
      world.advance(milliseconds: 1000)
      for run in judge.runs where judge.states[run]?.status.hasEnded == false { bring(run, last, round) }
      if judge.violation != nil || judge.runs.allSatisfy({ judge.states[$0]?.status.hasEnded == true }) { break }
    }
    world.advance(milliseconds: 1000)
    listen()
    for request in requests where !request.process.isKilled {
      switch request.answer.results.count {
      case 0: judge.fault("\(name(request.process)) does not answer: \(request.words)")
      case 1: break
      default: judge.fault("\(name(request.process)) answers twice: \(request.words)")
      }
    }
    judge.close(world, living: living)
  }

  /// What is at work ends.
  private func letGo() {
    for (process, index) in openTurns(living) { finishTurn(process, index, .finished(.say("healed"))) }
    for process in living {
      for run in process.tools.runs { run.complete(.text("healed")) }
      for invocation in process.parent.openInvocations { invocation.answer(.text("healed")) }
      for question in process.parent.openQuestions { question.answer(Plot.consent(to: question.request)) }
    }
  }

  /// Does what the run asks for. A process that its store failed has let its runs go, but lives: then they are its own to take up again.
  private func bring(_ run: ULID, _ last: VirtualProcess, _ round: Int) {
    judge.resumed.insert(run)
    let state = judge.states[run]
    let owners = round % 2 == 0 ? [] : [state?.owner, state?.awaitedCalls.first?.sender]
    let process = living.first { owners.contains($0.store.owner) } ?? last
    guard let outcome = process.look(run) else { return }
    let limits = CarriedJSON(trusted: Bytes(#"{"maxIterations":1000}"#))
    _ = process.resume(run, delivery: .invoke, limits: outcome.status == .paused ? limits : nil, wait: false)
    let calls = outcome.pendingCalls.filter { $0.needs == .result && ($0.state == .deferred || round > 10) }
    if calls.isEmpty { return }
    let words = "submit \(calls.count) results to \(judge.name(run)) in part"
    ask(words, process) { process.submit(run, calls.map { ($0.callID.text, .text("healed")) }, partial: true, wait: false) }
    listen()
  }
}
