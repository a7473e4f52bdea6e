/// What commands may take.
struct CommandLimits: Sendable {
  /// At once; further ones wait their turn, as long as their time lasts.
  var commands = 64
  /// Kept of each stream; a command that writes more is killed.
  var outputBytes = 64 << 20
  /// Shown at a time of output while it comes.
  var progressBytes = 32 << 10
  /// Between two such pieces.
  var progressMilliseconds = 50
}
