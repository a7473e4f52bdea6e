/// Where runs are kept when nobody says where: https://specifications.freedesktop.org/basedir-spec/latest/
enum DefaultStore {
  /// The place, or why there is none.
  static var location: Result<StoreLocation, StartupError> {
    Result { () throws(StartupError) in .sqlite(path: try folder() + "/footbridge/runs.db") }
  }

  private static func folder() throws(StartupError) -> String {
    do throws(Environment.NotUTF8) {
      // One that is not absolute is none.
      if Environment.isAbsolutePath("XDG_STATE_HOME"), let state = try Environment.value("XDG_STATE_HOME") { return state }
      if Environment.isSet("HOME"), let home = try Environment.value("HOME") { return home + "/.local/state" }
    } catch { throw unknown(error.message) }
    let isRelative = Environment.isSet("XDG_STATE_HOME")
    throw unknown(isRelative ? "HOME is not set, and XDG_STATE_HOME is not an absolute path" : "neither HOME nor XDG_STATE_HOME is set")
  }

  private static func unknown(_ why: String) -> StartupError {
    StartupError(status: .configuration, message: "\(why): say where the store is with --store sqlite:PATH")
  }
}
