package import JSON

/// `run.addNote`.
extension RunEngine {
  /// A note to a message that is part of a turn at work is one to that turn: what comes after the message in the conversation has been shown to
  /// a model already, and is counted by compactions.
  package func addNote(_ runID: ULID, _ text: CarriedJSON, reply: @escaping RunReply) {
    do throws(RuntimeError) {
      let run = try run(runID)
      takeOverdueCalls(of: run, goesOn: true)
      // Its own are denied with the note.
      takeExpiredApprovals(of: run, besides: run)
      let turn = Shared<ULID?>(nil)
      input(run) { [unowned self] (machine) throws(RuntimeError) in
        turn.value = try turnAtWork(onInputOf: run, machine.state)
        if turn.value == nil { try machine.addNote(text) }
      } answered: { [unowned self] run, error in
        if let error { return reply(.failure(error)) }
        if let turn = turn.value { return addNote(turn, text, reply: reply) }
        reply(.success(answer(run)))
      }
    } catch { reply(.failure(error)) }
  }

  /// The turn that a run's input has become part of, once it has begun.
  ///
  /// - Throws: `run.alreadyTerminal` when that turn has ended: the run is about to end with it.
  private func turnAtWork(onInputOf run: LiveRun, _ state: RunState) throws(RuntimeError) -> ULID? {
    guard let turn = try turn(ofInputOf: run, state) else { return nil }
    guard let row = turn.row, !row.status.hasEnded else {
      throw RuntimeError(.runAlreadyTerminal, "run \(turn.runID), which this message was part of, has ended")
    }
    return turn.hasBegun ? turn.runID : nil
  }
}
