import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// What each request does to a run that waits for people: where the client of another process is asked, where nobody is, and while it is paused.
@Suite struct AskingTableTests {
  enum Standing: String, CaseIterable, Sendable {
    /// A server call needs approval, and nobody is asked.
    case approval
    /// The client of another process is asked.
    case approvalOpen
    case question
    case questionOpen
    /// Paused while an approval is out.
    case paused
    /// Another server call of the batch is at work, in another process.
    case drivenElsewhere
    /// The time for the approval is over, and nobody is asked.
    case expired
  }

  enum Request: String, CaseIterable, Sendable { case approve, deny, input, results, resume, addNote, pause, cancel }

  private struct Setting {
    let world: VirtualWorld
    let process: VirtualProcess
    let run: ULID
    let call: String
  }

  private static func set(_ standing: Standing) throws -> Setting {
    let world = VirtualWorld()
    let asksUser = standing == .question || standing == .questionOpen
    let calls = asksUser ? [("ask_user", #"{"question":"?"}"#)] : standing == .drivenElsewhere ? [("g", "{}"), ("s", "{}")] : [("g", "{}")]
    let first = world.launch(model: ScriptedModel { request in request.turn == 0 ? .turn(.call(calls)) : .held })
    if standing != .approval, standing != .question, standing != .expired { first.parent.abilities = .people }
    let agent = #""askUser":true"# + (standing == .expired ? #","approvalTimeoutMs":100"# : "")
    let params = startParams(agent: agent, tools: [serverTool("g", gatedCalls), serverTool("s")])
    let run = try #require(first.start("hi", params, delivery: .pause).runID)
    if standing == .paused { _ = first.pause(run) }
    if standing == .expired { world.advance(milliseconds: 100) }
    let process = world.launch(model: ScriptedModel { _ in .held })
    let call = try #require(try process.engine.glance(run).awaitedCalls.first?.callID.text)
    return Setting(world: world, process: process, run: run, call: call)
  }

  private static func cell(_ standing: Standing, _ request: Request) throws -> String {
    let setting = try set(standing)
    let (process, run, call) = (setting.process, setting.run, setting.call)
    let before = setting.world.disk.records(of: run).count
    let answer =
      switch request {
      case .approve: process.approve(run, [(call, ApprovalAnswer(.approve))])
      case .deny: process.approve(run, [(call, ApprovalAnswer(.deny))])
      case .input: process.input(run, [(call, InputAnswer(.accept, content: json(#"{"answer":"x"}"#)))])
      case .results: process.submit(run, [(call, .text("by the test"))])
      case .resume: process.resume(run, delivery: .pause)
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
    .approval: """
    approve: (waits) | running self | run.reconfigured approval.decided run.resumed tool.started
    deny: (waits) | running self | run.reconfigured approval.decided tool.completed run.resumed model.started
    input: run.invalidToolResults | waiting_approval none
    results: run.invalidToolResults | waiting_approval none
    resume: waiting_approval | waiting_approval none
    addNote: waiting_approval | waiting_approval none | note.added
    pause: paused | paused none | run.paused
    cancel: cancelled | cancelled none | tool.completed run.cancelled
    """,
    .approvalOpen: """
    approve: (waits) | running self | run.reconfigured approval.decided run.resumed tool.started
    deny: (waits) | running self | run.reconfigured approval.decided tool.completed run.resumed model.started
    input: run.invalidToolResults | waiting_approval none
    results: run.invalidToolResults | waiting_approval none
    resume: (waits) | waiting_approval none
    addNote: waiting_approval | waiting_approval none | note.added
    pause: paused | paused none | run.paused
    cancel: cancelled | cancelled none | tool.completed run.cancelled
    """,
    .question: """
    approve: run.invalidToolResults | waiting_human_input none
    deny: run.invalidToolResults | waiting_human_input none
    input: (waits) | running self | run.reconfigured input.answered tool.completed run.resumed model.started
    results: run.invalidToolResults | waiting_human_input none
    resume: waiting_human_input | waiting_human_input none
    addNote: waiting_human_input | waiting_human_input none | note.added
    pause: paused | paused none | run.paused
    cancel: cancelled | cancelled none | tool.completed run.cancelled
    """,
    .questionOpen: """
    approve: run.invalidToolResults | waiting_human_input none
    deny: run.invalidToolResults | waiting_human_input none
    input: (waits) | running self | run.reconfigured input.answered tool.completed run.resumed model.started
    results: run.invalidToolResults | waiting_human_input none
    resume: (waits) | waiting_human_input none
    addNote: waiting_human_input | waiting_human_input none | note.added
    pause: paused | paused none | run.paused
    cancel: cancelled | cancelled none | tool.completed run.cancelled
    """,
    .paused: """
    approve: paused | paused none | approval.decided
    deny: paused | paused none | approval.decided tool.completed
    input: run.invalidToolResults | paused none
    results: run.invalidToolResults | paused none
    resume: (waits) | waiting_approval none | run.resumed run.paused
    addNote: paused | paused none | note.added
    pause: paused | paused none
    cancel: cancelled | cancelled none | tool.completed run.cancelled
    """,
    .drivenElsewhere: """
    approve: (waits) | running other | approval.decided
    deny: (waits) | running other | approval.decided tool.completed
    input: run.invalidToolResults | running other
    results: run.invalidToolResults | running other
    resume: run.leaseHeld | running other
    addNote: running | running other | note.added
    pause: (waits) | running other | pause.requested
    cancel: (waits) | running other | cancel.requested
    """,
    .expired: """
    approve: run.alreadyClaimed | running self | approval.decided tool.completed tool.resultRejected run.resumed model.started
    deny: run.alreadyClaimed | running self | approval.decided tool.completed tool.resultRejected run.resumed model.started
    input: run.notWaiting | running self | approval.decided tool.completed tool.resultRejected run.resumed model.started
    results: run.alreadyClaimed | running self | approval.decided tool.completed tool.resultRejected run.resumed model.started
    resume: (waits) | running self | approval.decided tool.completed run.resumed model.started
    addNote: running | running self | approval.decided tool.completed note.added run.resumed model.started
    pause: paused | paused none | run.paused
    cancel: cancelled | cancelled none | tool.completed run.cancelled
    """,
  ]

  @Test("every request does to a run that asks what the table says", arguments: Standing.allCases)
  func table(standing: Standing) throws {
    let cells = try Request.allCases.map { try Self.cell(standing, $0) }
    #expect(cells == Self.table[standing]?.split(separator: "\n").map(String.init))
  }
}
