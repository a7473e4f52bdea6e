import JSON
import JSONSchema
import Testing

@Suite(.enabled(if: Suite.root != nil || Suite.mustBeThere, "the JSON-Schema-Test-Suite is not at hand: set FOOTBRIDGE_SUITES"))
struct SuiteTests {
  @Test func `the suite is at hand`() {
    #expect(Suite.root != nil, "in CI the suites must be there")
    #expect(Suite.files(in: "tests/draft2020-12").count >= 40)
    #expect(Suite.remotes.count >= 20)
  }

  @Test(arguments: Suite.files(in: "tests/draft2020-12"))
  func `every required test of 2020-12 has its outcome`(file: String) throws {
    try check("tests/draft2020-12/" + file, assertFormats: false, SuiteException.required)
  }

  @Test(arguments: Suite.files(in: "tests/draft2020-12/optional"))
  func `every optional test of 2020-12 has its outcome`(file: String) throws {
    try check("tests/draft2020-12/optional/" + file, assertFormats: false, SuiteException.optional)
  }

  @Test(arguments: ["date-time", "date", "time", "email", "hostname", "ipv4", "ipv6", "uri", "uuid", "unknown"])
  func `every test of an asserted format has its outcome`(format: String) throws {
    try check("tests/draft2020-12/optional/format/\(format).json", assertFormats: true, SuiteException.formats)
  }

  @Test(arguments: Suite.files(in: "tests/draft7"))
  func `the idioms of draft-07 are understood`(file: String) throws {
    try check("tests/draft7/" + file, assertFormats: false, SuiteException.draft07)
  }

  /// The schema with the `$schema` that the tests of draft-07 leave out.
  private func asDraft07(_ schema: CarriedJSON) -> CarriedJSON {
    guard schema.kind == .object, schema["$schema"] == nil else { return schema }
    let isEmpty = schema.bytes.count == 2
    let rest = schema.bytes[1..<schema.bytes.count].string
    return CarriedJSON(trusted: Bytes(#"{"$schema":"http://json-schema.org/draft-07/schema#""# + (isEmpty ? "" : ",") + rest))
  }

  private func check(_ path: String, assertFormats: Bool, _ exceptions: [SuiteException]) throws {
    var open = exceptions.filter { path.hasSuffix("/" + $0.file) }
    func take(_ group: String, _ test: String?, _ kind: SuiteException.Kind) -> Bool {
      guard let place = open.firstIndex(where: { $0.group == group && $0.test == test && $0.kind == kind }) else { return false }
      open.remove(at: place)
      return true
    }
    for group in try Suite.groups(path) {
      let schema: JSONSchema
      do throws(SchemaError) {
        let source = path.hasPrefix("tests/draft7/") ? asDraft07(group.schema) : group.schema
        schema = try JSONSchema(compiling: source, assertFormats: assertFormats, documents: Suite.remotes)
      } catch {
        if !take(group.description, nil, .refused(error.code)) { Issue.record("\(path): \(group.description): refused: \(error)") }
        continue
      }
      for test in group.tests {
        let failures = schema.failures(of: test.instance)
        if failures.isEmpty == test.isValid { continue }
        if take(group.description, test.description, failures.isEmpty ? .accepted : .rejected) { continue }
        Issue.record("\(path): \(group.description): \(test.description): expected \(test.isValid ? "valid" : "invalid"), got \(failures)")
      }
    }
    #expect(open.map { "\($0.group): \($0.test ?? "")" } == [], "exceptions that did not come true")
  }
}
