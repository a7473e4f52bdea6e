import BridgeProtocol
import JSON
import Testing

@testable import BridgeService

/// One method is one schema, one file in BridgeProtocol, and one line in the table.
@Suite struct MethodTests {
  private let schemas = Set(Tree.names(in: "Schemas/methods", ending: ".json"))
  private let table = Set(MethodTable.methods.keys)

  /// Methods declared in BridgeProtocol, with the file each is in.
  private func declared() throws -> [String: String] {
    var methods: [String: String] = [:]
    for file in Tree.swiftFiles(under: "Sources/BridgeProtocol") {
      let text = try Tree.text(file)
      guard text.contains(": WireMethod {"), let marker = text.firstRange(of: "static let name = \"") else { continue }
      let rest = text[marker.upperBound...]
      guard let end = rest.firstIndex(of: "\"") else { continue }
      methods[String(rest[..<end])] = file
    }
    return methods
  }

  @Test func `every method has its schema, its file and its line`() throws {
    let files = try declared()
    #expect(schemas.count > 15)
    for method in schemas.union(table).union(files.keys).sorted() {
      #expect(schemas.contains(method), "Schemas/methods/\(method).json is missing")
      #expect(table.contains(method), "Sources/BridgeService/MethodTable.swift has no line for \(method)")
      #expect(files[method] == "Sources/BridgeProtocol/\(method).swift", "Sources/BridgeProtocol/\(method).swift is missing")
    }
  }

  @Test func `every notification and reverse request has its schema`() {
    let notifications = Set(Tree.names(in: "Schemas/notifications", ending: ".json"))
    let named =
      WireNotification.fromClient.map { $0 == WireNotification.cancelRequest ? "cancelRequest" : $0.replacingSlash } + [
        "run.event", "session.event",
      ]
    for name in notifications.union(named).sorted() {
      #expect(notifications.contains(name), "Schemas/notifications/\(name).json is missing")
      #expect(named.contains(name), "BridgeProtocol/Notifications.swift has no \(name)")
    }
    let asked = [ReverseRequest.toolInvoke, ReverseRequest.approval, ReverseRequest.elicitation, ReverseRequest.createMessage].map {
      "\($0)".replacingSlash
    }
    #expect(Tree.names(in: "Schemas/requests", ending: ".json") == asked.sorted())
  }

  @Test func `every member of a method's params that is read is in its schema`() throws {
    for method in schemas.sorted() {
      let schema = try Tree.json("Schemas/methods/\(method).json")
      let properties = Set(
        try #require(schema["properties"]?["params"] ?? schema["params"] ?? schema["$defs"]?["params"], "\(method)").memberNames(
          "properties"))
      let text = try Tree.text("Sources/BridgeProtocol/\(method).swift")
      for line in text.split(separator: "\n") {
        guard let start = line.firstRange(of: "package let "), let colon = line.firstIndex(of: ":"), text.contains("struct Params") else {
          continue
        }
        let name = String(line[start.upperBound..<colon])
        // Only those of Params itself: they are indented once.
        guard line.hasPrefix("    package let "), !text.contains("struct Implementation") else { continue }
        #expect(properties.contains(name), "Schemas/methods/\(method).json has no member \(name) in its params")
      }
    }
  }
}

extension String {
  fileprivate var replacingSlash: String { split(separator: "/").joined(separator: ".") }
}

extension CarriedJSON {
  fileprivate func memberNames(_ name: String) -> [String] {
    var names: [String] = []
    self[name]?.forEachMember { name, _ in names.append(name.text) }
    return names
  }
}
