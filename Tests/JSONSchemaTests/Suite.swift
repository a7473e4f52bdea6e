import JSON
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The JSON-Schema-Test-Suite, when it is at hand.
enum Suite {
  struct Group {
    var description: String
    var schema: CarriedJSON
    var tests: [(description: String, instance: CarriedJSON, isValid: Bool)]
  }

  /// `FOOTBRIDGE_SUITES`, or `shared/suites` beside the repository; nil when neither is there.
  static let root: String? = {
    var folder = "\(#filePath)".split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
    folder += "/../shared/suites"
    if let named = unsafe getenv("FOOTBRIDGE_SUITES") { folder = unsafe String(cString: named) }
    let path = folder + "/JSON-Schema-Test-Suite"
    return unsafe access(path + "/tests/draft2020-12", R_OK) == 0 ? path : nil
  }()

  static var mustBeThere: Bool {
    guard let value = unsafe getenv("CI") else { return false }
    return unsafe String(cString: value) == "true"
  }

  /// The names of the JSON files in a folder of the suite, sorted.
  static func files(in folder: String) -> [String] {
    guard let root, let open = unsafe opendir(root + "/" + folder) else { return [] }
    defer { unsafe closedir(open) }
    var names: [String] = []
    while let entry = unsafe readdir(open) {
      let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { raw in
        unsafe String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name.hasSuffix(".json") { names.append(name) }
    }
    return names.sorted()
  }

  static func json(_ path: String) throws -> CarriedJSON {
    var bytes: [UInt8] = []
    guard let root, let file = unsafe fopen(root + "/" + path, "r") else { throw JSONError(.missingMember, "no file \(path)") }
    defer { unsafe fclose(file) }
    var part = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = unsafe fread(&part, 1, part.count, file)
      if count == 0 { break }
      bytes += part.prefix(count)
    }
    return try CarriedJSON(validating: Bytes(bytes))
  }

  static func groups(_ path: String) throws -> [Group] {
    try json(path).elements.map { group in
      let tests = try #require(group["tests"]).elements.map { test in
        (test["description"]?.stringValue ?? "", try #require(test["data"]), try #require(test["valid"]?.boolValue as Bool?))
      }
      return Group(description: group["description"]?.stringValue ?? "", schema: try #require(group["schema"]), tests: tests)
    }
  }

  /// The documents that the suite serves under http://localhost:1234/.
  static let remotes: [String: CarriedJSON] = {
    var documents: [String: CarriedJSON] = [:]
    let folders = [
      "draft2020-12", "draft2020-12/baseUriChange", "draft2020-12/baseUriChangeFolder", "draft2020-12/baseUriChangeFolderInSubschema",
      "draft2020-12/nested", "draft2019-09", "draft7", "baseUriChange", "baseUriChangeFolder",
      "baseUriChangeFolderInSubschema", "nested", "",
    ]
    for folder in folders {
      let prefix = folder.isEmpty ? "" : folder + "/"
      for name in files(in: "remotes/" + folder) {
        documents["http://localhost:1234/" + prefix + name] = try? json("remotes/" + prefix + name)
      }
    }
    return documents
  }()
}
