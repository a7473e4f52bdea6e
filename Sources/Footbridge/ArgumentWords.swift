#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The arguments that the process was started with.
enum ArgumentWords {
  /// All after the program's name, as they are: Swift's own list has U+FFFD for what is not UTF-8, and with it the name of another file.
  /// - Throws: usage, with the number of the argument that is not UTF-8. It is not shown, since it may hold a password.
  static func read() throws(StartupError) -> [String] {
    var words: [String] = []
    for number in 1..<max(1, Int(CommandLine.argc)) {
      guard let text = unsafe CommandLine.unsafeArgv[number] else { break }
      guard let word = unsafe String(validatingCString: text) else {
        let bytes = unsafe UnsafeBufferPointer(start: text, count: strlen(text)).map { UInt8(bitPattern: $0) }
        throw StartupError(status: .usage, message: "argument \(number)\(place(bytes, after: words.last)) is not UTF-8")
      }
      words.append(word)
    }
    return words
  }

  /// The option that an argument belongs to, or seems to.
  private static func place(_ argument: [UInt8], after previous: String?) -> String {
    if let name = String(validating: argument.prefix { $0 != UInt8(ascii: "=") }, as: UTF8.self), name.hasPrefix("--") {
      return " (\(VisibleText.shown(name))=)"
    }
    if let previous, previous.hasPrefix("--"), previous.utf8.count > 2, !previous.utf8.contains(UInt8(ascii: "=")) {
      return " (after \(VisibleText.shown(previous)))"
    }
    return ""
  }
}
