import AgentRuntime
import POSIXSupport

/// `footbridge store`: what is done with whole stores.
enum StoreCommand {
  static let command = Command(
    name: "store", operands: "copy FROM TO", summary: "copy all runs, agents and sessions from one store to another",
    text: """
      FROM and TO are stores as --store takes them: sqlite:PATH or postgresql://USER@HOST/DATABASE. Logs, results, versions and
      times are copied to the byte, and FROM stays as it is. What is in TO already is compared and left alone, so a copy that was
      interrupted is made again and goes on where it was. A run that a process drives, or that went another way in TO, is left out
      and named. Blobs that no run names are not copied. End the bridges on FROM before: both stores have the runs afterwards.
      Exit status: 0 when everything is in TO.
      """, options: []
  ) { (arguments, shell) throws(StartupError) in
    if let word = arguments.operands.first, word != "copy" {
      throw StartupError(status: .usage, message: "there is no 'store \(VisibleText.shown(word))'; there is 'store copy FROM TO'")
    }
    let operands = try arguments.operands("copy", "FROM", "TO")
    let (from, to) = (try location(operands[1], "FROM"), try location(operands[2], "TO"))
    guard !from.isSame(as: to) else { throw StartupError(status: .usage, message: "FROM and TO are the same store") }
    try from.checkExistence()
    let source = try from.open(synchronous: shell.options.synchronous)
    defer { source.close() }
    let destination = try to.open(synchronous: shell.options.synchronous)
    defer { destination.close() }
    do throws(StoreError) {
      return try copy(StoreCopy(from: source, to: destination), from: from, to: to, shell.terminal)
    } catch { throw StartupError(status: .store, message: error.message + "; what was copied is there, and the same command goes on") }
  }

  private static func location(_ text: String, _ name: String) throws(StartupError) -> StoreLocation {
    do throws(OptionError) {
      let location = try StoreLocation(text)
      guard location != .memory else { throw OptionError("must be a store that lasts, not memory") }
      return location
    } catch { throw StartupError(status: .usage, message: "\(name) \(error.message)") }
  }

  private struct Counts {
    var copied = 0
    var present = 0
    var refused = 0

    mutating func count(_ verdict: StoreCopy.Verdict) {
      switch verdict {
      case .copied: copied += 1
      case .present: present += 1
      case .refused: refused += 1
      }
    }

    func text(_ things: String) -> String { "\(things): \(copied) copied, \(present) already there, \(refused) left out" }
  }

  private static func copy(
    _ copy: StoreCopy, from: StoreLocation, to: StoreLocation, _ terminal: Terminal
  ) throws(StoreError) -> ExitStatus {
    var (runs, documents) = (Counts(), Counts())
    for run in try copy.runs() {
      let verdict = try copy.copy(run: run)
      runs.count(verdict)
      if case .refused(let why) = verdict { terminal.report("run \(run) was left out: \(why)") }
    }
    try copy.copyDocuments { (document, verdict) throws(StoreError) in
      documents.count(verdict)
      if case .refused(let why) = verdict { terminal.report("\(document.kind) \(VisibleText.shown(document.id)) was left out: \(why)") }
    }
    terminal.put("from \(from.text) to \(to.text)\n\(runs.text("runs"))\n\(documents.text("agents, memory and sessions"))\n")
    return runs.refused + documents.refused == 0 ? .success : .failure
  }
}
