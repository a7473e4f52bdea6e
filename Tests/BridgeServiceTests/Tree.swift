import JSON
import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The project's files, found from where this one lies.
enum Tree {
  static let root: String = {
    var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
    parts.removeLast(3)
    return parts.joined(separator: "/")
  }()

  static func text(_ path: String) throws -> String { String(decoding: try FileReading.contents(of: root + "/" + path), as: UTF8.self) }

  static func json(_ path: String) throws -> CarriedJSON { try CarriedJSON(validating: Bytes(try text(path))) }

  /// The names in a folder that end so, without their ending.
  static func names(in path: String, ending: String) -> [String] {
    entries(of: path).filter { $0.hasSuffix(ending) }.map { String($0.dropLast(ending.utf8.count)) }.sorted()
  }

  /// Every Swift file under a folder.
  static func swiftFiles(under path: String) -> [String] {
    entries(of: path).sorted().flatMap { name -> [String] in
      if name.hasSuffix(".swift") { return [path + "/" + name] }
      return name.contains(".") ? [] : swiftFiles(under: path + "/" + name)
    }
  }

  private static func entries(of path: String) -> [String] {
    guard let folder = unsafe opendir(root + "/" + path) else { return [] }
    defer { unsafe closedir(folder) }
    var names: [String] = []
    while let entry = unsafe readdir(folder) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names
  }
}
