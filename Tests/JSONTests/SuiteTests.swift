import JSON
import Testing

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// JSONTestSuite by Nicolas Seriot, which is not part of this repository.
enum JSONTestSuite {
  /// `FOOTBRIDGE_SUITES`, or `shared/suites` beside the repository; nil when it is not there.
  static let folder: String? = {
    let path =
      if let given = unsafe getenv("FOOTBRIDGE_SUITES") { unsafe String(cString: given) } else { repository() + "/../shared/suites" }
    return unsafe access(path + "/JSONTestSuite/test_parsing", R_OK) == 0 ? path + "/JSONTestSuite" : nil
  }()

  private static func repository() -> String {
    guard let real = unsafe realpath(#filePath, nil) else { return "." }
    defer { unsafe free(real) }
    return unsafe String(cString: real).split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
  }

  static var isRequired: Bool { unsafe getenv("CI").map { unsafe String(cString: $0) } == "true" }

  static func names(in part: String) -> [String] {
    guard let folder, let directory = unsafe opendir(folder + "/" + part) else { return [] }
    defer { unsafe closedir(directory) }
    var names: [String] = []
    while let entry = unsafe readdir(directory) {
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
        unsafe name.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
      }
      if name.hasSuffix(".json") { names.append(name) }
    }
    return names.sorted()
  }

  static func read(_ part: String, _ name: String) -> Bytes {
    guard let folder, let file = unsafe fopen(folder + "/" + part + "/" + name, "r") else { return Bytes() }
    defer { unsafe fclose(file) }
    var buffer = ByteBuffer()
    while unsafe buffer.withUnsafeFreeSpace(65536, { room in unsafe fread(room.baseAddress, 1, 65536, file) }) > 0 {}
    return buffer.finish()
  }
}

@Suite struct `The folder of suites` {
  @Test func `is there when it must be`() {
    #expect(JSONTestSuite.folder != nil || !JSONTestSuite.isRequired, "set FOOTBRIDGE_SUITES to the folder that holds JSONTestSuite")
  }
}

@Suite(.enabled(if: JSONTestSuite.folder != nil, "JSONTestSuite is not there: set FOOTBRIDGE_SUITES"))
struct `Each file of JSONTestSuite` {
  @Test func `is there`() {
    let names = JSONTestSuite.names(in: "test_parsing")
    #expect(names.count { $0.hasPrefix("y_") } == 95)
    #expect(names.count { $0.hasPrefix("n_") } == 188)
    #expect(JSONTestSuite.names(in: "test_transform").count == 22)
  }

  @Test(arguments: JSONTestSuite.names(in: "test_parsing"))
  func `is accepted or refused on the carried path as it should`(name: String) {
    let text = JSONTestSuite.read("test_parsing", name)
    let error = failure { () throws(JSONError) in _ = try CarriedJSON(validating: text) }
    switch name.prefix(2) {
    case "y_": #expect(error == nil)
    case "n_": #expect(error != nil)
    default: #expect((error == nil) == !Self.refusedByChoice.contains(name))
    }
    if name == "n_structure_100000_opening_arrays.json" || name == "n_structure_open_array_object.json" { #expect(error?.code == .tooDeep) }
  }

  /// Files that a parser may refuse, and this one does: what is not UTF-8, and a byte order mark. The other such files it accepts.
  private static let refusedByChoice: Set<String> = [
    "i_string_UTF-16LE_with_BOM.json", "i_string_UTF-8_invalid_sequence.json", "i_string_UTF8_surrogate_U+D800.json",
    "i_string_invalid_utf-8.json", "i_string_iso_latin_1.json", "i_string_lone_utf8_continuation_byte.json",
    "i_string_not_in_unicode_range.json", "i_string_overlong_sequence_2_bytes.json", "i_string_overlong_sequence_6_bytes.json",
    "i_string_overlong_sequence_6_bytes_null.json", "i_string_truncated-utf-8.json", "i_string_utf16BE_no_BOM.json",
    "i_string_utf16LE_no_BOM.json", "i_structure_UTF-8_BOM_empty_object.json",
  ]

  @Test(arguments: JSONTestSuite.names(in: "test_parsing"))
  func `is accepted or refused on the parsed path as it should`(name: String) {
    let text = JSONTestSuite.read("test_parsing", name)
    let parsed = failure { () throws(JSONError) in _ = try JSONDocument(parsing: text) }
    let decoded = failure { () throws(JSONError) in
      _ = try JSONCoding.decode(Structure.self, from: CarriedJSON(validating: text))
    }
    #expect(parsed == decoded)
    switch name {
    // Refused on purpose: they would fool a check.
    case "y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json": #expect(parsed?.code == .duplicateKey)
    case _ where name.hasPrefix("y_"): #expect(parsed == nil)
    case _ where name.hasPrefix("n_"): #expect(parsed != nil)
    default: #expect((parsed == nil) == !Self.refusedByChoice.contains(name))
    }
  }

  @Test(arguments: JSONTestSuite.names(in: "test_transform"))
  func `keeps its bytes when it is carried`(name: String) throws {
    struct Holder: Codable {
      var value: CarriedJSON
      var after: Int
    }
    let text = JSONTestSuite.read("test_transform", name)
    let isUTF8 = !["string_1_invalid_codepoint.json", "string_2_invalid_codepoints.json", "string_3_invalid_codepoints.json"].contains(name)
    guard isUTF8 else {
      #expect(failure { () throws(JSONError) in _ = try CarriedJSON(validating: text) }?.code == .invalidUTF8)
      return
    }
    let carried = try CarriedJSON(validating: text)
    var buffer = ByteBuffer()
    buffer.append("{\"value\": " as StaticString)
    buffer.append(text)
    buffer.append(", \"after\":1}" as StaticString)
    let document = try CarriedJSON(validating: buffer.finish())
    let holder = try JSONCoding.decode(Holder.self, from: document, carrying: ["/value"])
    #expect(holder.value == carried)
    let written = try JSONCoding.encode(holder)
    #expect(written["value"]?.bytes == carried.bytes)
    #expect(written["after"]?.intValue == 1)
  }
}

/// Visits every value of a document and keeps nothing.
struct Structure: Decodable {
  private struct Key: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  init(from decoder: any Decoder) throws {
    if let members = try? decoder.container(keyedBy: Key.self) {
      for key in members.allKeys { _ = try members.decode(Structure.self, forKey: key) }
    } else if var elements = try? decoder.unkeyedContainer() {
      while !elements.isAtEnd { _ = try elements.decode(Structure.self) }
    } else {
      let scalar = try decoder.singleValueContainer()
      let isScalar = scalar.decodeNil() || (try? scalar.decode(Bool.self)) != nil || (try? scalar.decode(String.self)) != nil
      if !isScalar, (try? scalar.decode(Double.self)) == nil { _ = try scalar.decode(CarriedJSON.self) }
    }
  }
}
