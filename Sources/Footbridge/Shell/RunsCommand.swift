import AgentRuntime
import JSON
import POSIXSupport

/// `footbridge runs`: the runs of the store.
enum RunsCommand {
  static let command = Command(
    name: "runs", operands: "", summary: "list the runs of the store, newest first",
    text: """
      Columns: the id, the status, when it was started, the process that drives it (none, or other), and what it was asked.
      On a terminal there are headings, and the time is how long ago that was.
      """,
    options: [
      Command.Option(
        name: "status", value: "STATUS", help: "only runs with it, or with one of several, with commas; 'waiting' is all that wait"),
      Command.Option(name: "limit", value: "N", help: "at most so many; default 20"),
      Command.Option(name: "json", value: nil, help: "print each run as a line of JSON instead"),
    ]
  ) { (arguments, shell) throws(StartupError) in
    _ = try arguments.operands()
    var query = RunQuery()
    query.limit = try arguments.number("limit", atLeast: 1) ?? 20
    for list in arguments.values("status") { query.statuses += try statuses(list) }
    let wanted = query
    return try shell.withRuntime { (runtime) throws(StartupError) in
      if arguments.has("json") {
        try printJSON(wanted, runtime, shell.terminal)
      } else {
        try printTable(wanted, runtime, shell)
      }
      return .success
    }
  }

  private static func statuses(_ list: String) throws(StartupError) -> [RunStatus] {
    var statuses: [RunStatus] = []
    for word in list.split(separator: ",", omittingEmptySubsequences: false).map(String.init) {
      if word == "waiting" {
        statuses += RunStatus.allCases.filter(\.isWaiting)
      } else if let status = RunStatus(rawValue: word) {
        statuses.append(status)
      } else {
        let words = RunStatus.allCases.map(\.rawValue)
        throw StartupError(
          status: .usage, message: "there is no status '\(VisibleText.shown(word))'; there are waiting, \(words.joined(separator: ", "))")
      }
    }
    return statuses
  }

  // MARK: Table

  private struct Row: Sendable {
    var details: RunEngine.Details
    var input: String
  }

  private static func printTable(_ query: RunQuery, _ runtime: Runtime, _ shell: Shell) throws(StartupError) {
    let (rows, isCut) = try runtime.thread.ask { (engine) throws(RuntimeError) in
      let page = try engine.runs(matching: query, driver: nil)
      var rows: [Row] = []
      for details in page.runs {
        rows.append(Row(details: details, input: VisibleText.line(try RunInput.text(of: details.outcome.runID, engine), most: 60)))
      }
      return (rows, page.more != nil)
    }
    let terminal = shell.terminal
    if rows.isEmpty {
      let which = query.statuses.isEmpty ? "run" : "such run"
      return terminal.note("there is no \(which) in \(shell.storeName)")
    }
    let now = Clock.wallMilliseconds()
    var table = rows.map { row in
      let outcome = row.details.outcome
      let created = row.details.createdAt
      let when = terminal.isInteractive ? VisibleText.age(milliseconds: now - created.milliseconds) : created.text
      return [outcome.runID.text, outcome.status.rawValue, when, outcome.driver.rawValue, row.input]
    }
    if terminal.isInteractive { table.insert(["RUN", "STATUS", "AGE", "DRIVER", "INPUT"], at: 0) }
    terminal.put(text(of: table, width: terminal.width))
    if isCut { terminal.note("there are more: --limit N") }
  }

  /// Columns as wide as they must be; the last one gets what is left.
  private static func text(of table: [[String]], width: Int?) -> String {
    let widths = (0..<4).map { column in table.map { $0[column].count }.max() ?? 0 }
    let left = width.map { max(10, $0 - widths.reduce(0, +) - 8) }
    return table.map { row in
      var line = ""
      for (cell, width) in zip(row, widths) { line += cell + String(repeating: " ", count: width - cell.count + 2) }
      line += left.map { VisibleText.line(row[4], most: $0) } ?? row[4]
      while line.last == " " { line.removeLast() }
      return line + "\n"
    }.joined()
  }

  // MARK: JSON

  /// As `run.list` has them, one a line.
  private static func printJSON(_ query: RunQuery, _ runtime: Runtime, _ terminal: Terminal) throws(StartupError) {
    terminal.put(
      try runtime.thread.ask { (engine) throws(RuntimeError) in
        var lines = ByteBuffer(capacity: 4096)
        for details in try engine.runs(matching: query, driver: nil).runs {
          var writer = JSONWriter(capacity: 512)
          writer.beginObject()
          engine.write(details.outcome, to: &writer)
          writer.member("createdAt", details.createdAt.text)
          writer.member("updatedAt", details.updatedAt.text)
          writer.endObject()
          lines.append(writer.finishLine())
        }
        return lines.finish()
      })
  }
}
