import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// Protocol section 3, "Who drives a run": what each request does to a run in each state.
@Suite struct StateTableTests {
  enum Standing: String, CaseIterable, Sendable {
    case drivenHere, drivenElsewhere, undriven, withoutPlace, waiting, open, paused, success, error, cancelled, maxIterations
  }

  enum Request: String, CaseIterable, Sendable { case submit, resume, addNote, pause, cancel }

  /// A run, and a process that is asked something about it.
  private struct Setting {
    let world: VirtualWorld
    let process: VirtualProcess
    let run: ULID
    let call: String
  }

  private static func set(_ standing: Standing) throws -> Setting {
    let world = VirtualWorld()
    var limits = RunEngine.Limits()
    limits.maxConcurrentRuns = standing == .withoutPlace ? 1 : 9
    let model = ScriptedModel { request in
      switch standing {
      case .drivenHere, .drivenElsewhere, .undriven: .held
      case .success: .say("ok")
      case .error: .fault(RunFault(.modelRejected, "400"))
      default: request.turn == 0 && request.agent.name == "asked" ? .call(("a", "{}")) : .held
      }
    }
    let first = world.launch(model: model, limits: limits)
    let delivery = standing == .open ? Delivery.invoke : .pause
    let maximum = standing == .maxIterations ? #"{"maxIterations":1}"# : nil
    let started = first.start("hi", startParams(agent: #""name":"asked""#, tools: [clientTool("a")], limits: maximum), delivery: delivery)
    let run = try #require(started.runID)
    let call = first.look(run)?.pendingCalls.first?.callID.text ?? "01M7W6C380KRDBZADEHN2B8PHN"
    switch standing {
    case .undriven: first.kill()
    case .paused: _ = first.pause(run)
    case .cancelled: _ = first.cancel(run)
    case .maxIterations: _ = first.submit(run, [(call, .text("done"))], wait: false, delivery: .pause)
    case .withoutPlace:
      _ = first.start("in the way", startParams())
      _ = first.submit(run, [(call, .text("done"))], wait: false, delivery: .pause)
    default: break
    }
    let isHere = standing == .drivenHere || standing == .withoutPlace
    let process = isHere ? first : world.launch(model: ScriptedModel { _ in .held })
    return Setting(world: world, process: process, run: run, call: call)
  }

  /// What the request is answered with at once, how the run stands then, and what was added to its log.
  private static func cell(_ standing: Standing, _ request: Request) throws -> String {
    let setting = try set(standing)
    let process = setting.process
    let run = setting.run
    let before = setting.world.disk.records(of: run).count
    let answer =
      switch request {
      case .submit: process.submit(run, [(setting.call, .text("by the test"))])
      case .resume: process.resume(run)
      case .addNote: process.note(run, "by the way")
      case .pause: process.pause(run)
      case .cancel: process.cancel(run)
      }
    let added = setting.world.disk.records(of: run).dropFirst(before).map(\.type).joined(separator: " ")
    let said = answer.error?.kind.name ?? answer.outcome?.status.rawValue ?? "(waits)"
    let stands = process.look(run).map { "\($0.status.rawValue) \($0.driver.rawValue)" } ?? ""
    return "\(request.rawValue): \(said) | \(stands)" + (added.isEmpty ? "" : " | \(added)")
  }

  private static let table: [Standing: String] = [
    .drivenHere: """
    submit: run.notWaiting | running self | tool.resultRejected
    resume: (waits) | running self
    addNote: running | running self | note.added
    pause: (waits) | running self | pause.requested
    cancel: cancelled | cancelled none | run.cancelled
    """,
    .drivenElsewhere: """
    submit: run.notWaiting | running other | tool.resultRejected
    resume: run.leaseHeld | running other
    addNote: running | running other | note.added
    pause: (waits) | running other | pause.requested
    cancel: (waits) | running other | cancel.requested
    """,
    .undriven: """
    submit: run.notWaiting | running none | tool.resultRejected
    resume: (waits) | running self | run.reconfigured run.resumed model.started
    addNote: running | running none | note.added
    pause: paused | paused none | run.paused
    cancel: cancelled | cancelled none | run.cancelled
    """,
    .withoutPlace: """
    submit: run.alreadyClaimed | running none | tool.resultRejected
    resume: (waits) | running none | run.reconfigured
    addNote: running | running none | note.added
    pause: paused | paused none | run.paused
    cancel: cancelled | cancelled none | run.cancelled
    """,
    .waiting: """
    submit: (waits) | running self | run.reconfigured tool.completed run.resumed model.started
    resume: (waits) | waiting_client_tool none | run.reconfigured tool.started
    addNote: waiting_client_tool | waiting_client_tool none | note.added
    pause: paused | paused none | run.paused
    cancel: cancelled | cancelled none | tool.completed run.cancelled
    """,
    .open: """
    submit: (waits) | running self | tool.completed run.resumed model.started
    resume: (waits) | waiting_client_tool none
    addNote: waiting_client_tool | waiting_client_tool none | note.added
    pause: paused | paused none | run.paused
    cancel: cancelled | cancelled none | tool.completed run.cancelled
    """,
    .paused: """
    submit: paused | paused none | tool.completed
    resume: (waits) | waiting_client_tool none | run.reconfigured run.resumed tool.started run.paused
    addNote: paused | paused none | note.added
    pause: paused | paused none
    cancel: cancelled | cancelled none | tool.completed run.cancelled
    """,
    .success: """
    submit: run.alreadyTerminal | success none | tool.resultRejected
    resume: success | success none
    addNote: run.alreadyTerminal | success none
    pause: success | success none
    cancel: success | success none
    """,
    .error: """
    submit: run.alreadyTerminal | error none | tool.resultRejected
    resume: error | error none
    addNote: run.alreadyTerminal | error none
    pause: error | error none
    cancel: error | error none
    """,
    .cancelled: """
    submit: run.alreadyTerminal | cancelled none | tool.resultRejected
    resume: cancelled | cancelled none
    addNote: run.alreadyTerminal | cancelled none
    pause: cancelled | cancelled none
    cancel: cancelled | cancelled none
    """,
    .maxIterations: """
    submit: run.alreadyTerminal | max_iterations none | tool.resultRejected
    resume: max_iterations | max_iterations none
    addNote: run.alreadyTerminal | max_iterations none
    pause: max_iterations | max_iterations none
    cancel: max_iterations | max_iterations none
    """,
  ]

  @Test("every request does to a run what the table says", arguments: Standing.allCases)
  func table(standing: Standing) throws {
    let cells = try Request.allCases.map { try Self.cell(standing, $0) }
    #expect(cells == Self.table[standing]?.split(separator: "\n").map(String.init))
  }
}
