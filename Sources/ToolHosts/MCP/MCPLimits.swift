/// What MCP servers may take.
package struct MCPLimits: Sendable {
  /// From the start of the process to its list of tools.
  package var startMilliseconds = 30_000
  /// For a call, from its last sign of progress.
  package var callMilliseconds = 120_000
  /// So many times its timeout is the longest that progress can keep a call open: a server that only goes on showing it would hold the run for ever.
  package var longestCall = 10
  /// After a call that took too long: for the server to show that it still reads what it is sent.
  package var probeMilliseconds = 5000
  /// How long a server is kept that no run holds.
  package var idleMilliseconds = 60_000
  /// Before a server that has died or could not start is started again: doubles each time.
  package var firstBackoffMilliseconds = 500
  package var longestBackoffMilliseconds = 30_000
  /// Pages of one list of tools.
  package var listPages = 1000
  /// Between two readings of a list that changes and changes.
  package var listMilliseconds = 250
  /// For a list that has changed, before a model turn begins with the one that was known before.
  package var renewalMilliseconds = 2000
  /// Questions of one server that are open at once.
  package var questions = 16
  /// How often one call may come back with questions (MCP 2026-07-28).
  package var rounds = 10
  /// The longest message of a server.
  package var maxMessageBytes = 256 << 20
  /// Progress and lines for the log come in bursts of so many, and then so many a second.
  package var burst = 100
  package var perSecond = 20

  package init() {}
}
