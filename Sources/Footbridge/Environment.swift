#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The variables of the process. One that is not UTF-8 is never repaired, which would make another value of it, another file's name for instance:
/// who needs it is told, and nobody else.
enum Environment {
  /// A variable is set, and what it is set to is not UTF-8.
  struct NotUTF8: Error {
    var name: String
    var message: String { "the environment variable \(name) is not UTF-8" }
  }

  /// One variable, as it is now. What the program itself goes by is asked for one by one: the first dictionary of a process takes it a tenth of a millisecond.
  static func value(_ name: String) throws(NotUTF8) -> String? {
    guard let text = unsafe getenv(name) else { return nil }
    guard let value = unsafe String(validatingCString: text) else { throw NotUTF8(name: name) }
    return value
  }

  /// Whether it is there and not empty; shells and containers set one to nothing where they mean none.
  static func isSet(_ name: String) -> Bool { firstByte(name) != nil }

  /// Whether it is a path from the root, in whatever encoding.
  static func isAbsolutePath(_ name: String) -> Bool { firstByte(name) == UInt8(ascii: "/") }

  private static func firstByte(_ name: String) -> UInt8? {
    guard let text = unsafe getenv(name), unsafe text.pointee != 0 else { return nil }
    return unsafe UInt8(bitPattern: text.pointee)
  }

  /// The process' environment, with nil for a value that is not UTF-8; of a name that is there twice the first counts. A name that is not UTF-8 can
  /// be asked for by nobody.
  static var all: [String: String?] {
    var variables: [String: String?] = [:]
    var entry = unsafe environ
    while let text = unsafe entry.pointee {
      let pair = unsafe UnsafeBufferPointer(start: text, count: strlen(text)).map { UInt8(bitPattern: $0) }
      if let sign = pair.firstIndex(of: UInt8(ascii: "=")), let name = String(validating: pair[..<sign], as: UTF8.self),
        variables.index(forKey: name) == nil
      {
        variables.updateValue(String(validating: pair[(sign + 1)...], as: UTF8.self), forKey: name)
      }
      unsafe entry += 1
    }
    return variables
  }
}
