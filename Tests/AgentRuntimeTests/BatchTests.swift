import JSON
import TestSupport
import Testing

@testable import AgentRuntime

/// The tallies of a batch are what counting its calls gives, whatever happens to them in which order.
struct BatchTests {
  private static let time = Timestamp(milliseconds: 0)

  /// A client call, a server call, one that has to be approved, a question, and one that is refused.
  private static func call(_ number: Int) -> Call {
    var tool = Tool(name: number % 5 == 3 ? Question.toolName : "t\(number)", description: "", inputSchema: .emptyObject)
    if number % 5 == 1 { tool.command = ["true"] }
    if number % 5 == 2 { tool.requiresApproval = true }
    let id = ULID(high: 0, low: UInt64(number))
    let model = ModelMessage.Call(callID: id, name: tool.name, arguments: .inline(.emptyObject), refusal: number % 5 == 4 ? "no" : nil)
    return Call(model, tool: tool, at: time)
  }

  private static func change(_ call: inout Call, _ chance: inout Chance) {
    switch Int.random(in: 0..<8, using: &chance) {
    case 0: call.attempt += 1
    case 1: call.needsApproval.toggle()
    case 2: call.isAsked.toggle()
    case 3: call.expiresAt = call.expiresAt == nil ? time : nil
    case 4: call.halt = call.halt == nil ? ChildHalt(status: .paused) : nil
    case 5: call.isParked.toggle()
    default: call.result = ToolResult()
    }
  }

  private static func check(_ batch: Batch) {
    let pending = batch.calls.filter(\.isPending)
    let tally = batch.tally
    #expect(batch.pendingCount == pending.count)
    #expect(Array(batch.pending) == pending)
    #expect(batch.filter { _ in true } == pending)
    #expect(tally.forClient == pending.count { $0.need == .result })
    #expect(tally.unsent == pending.count { $0.need == .result && $0.attempt == 0 })
    #expect(tally.forServer == pending.count { $0.isForServer })
    #expect(tally.approvals == pending.count { $0.need == .approval })
    #expect(tally.questions == pending.count { $0.need == .input })
    #expect(tally.unasked == pending.count { ($0.need == .approval || $0.need == .input) && !$0.isAsked })
    #expect(tally.expiring == pending.count { $0.expiresAt != nil })
    #expect(tally.halted == pending.count { $0.halt != nil })
    #expect(batch.contains { $0.attempt > 0 } == pending.contains { $0.attempt > 0 })
  }

  @Test func `tallies follow the calls`() {
    var chance = Chance(7)
    for _ in 0..<50 {
      var batch = Batch((0..<20).map(Self.call))
      Self.check(batch)
      while batch.pendingCount > 0 {
        batch.update(ULID(high: 0, low: .random(in: 0..<25, using: &chance))) { Self.change(&$0, &chance) }
        Self.check(batch)
      }
    }
  }
}
