import JSON

/// `footbridge schema`: the protocol as it is built into the program.
enum SchemaCommand {
  static let command = Command(
    name: "schema", operands: "[METHOD]", summary: "print the protocol as an OpenRPC document, or the part about METHOD",
    text: """
      METHOD is a method (run.start), a request of the bridge (tool.invoke), a notification (run.event), or an event (text.delta).
      Its part is a document of the same form, with the definitions that it refers to.
      """, options: []
  ) { (arguments, shell) throws(StartupError) in
    let operands = try arguments.operands("METHOD", optional: 1)
    let document = OpenRPCDocument.text
    guard let name = operands.first else {
      shell.terminal.put(document)
      shell.terminal.endLine()
      return .success
    }
    let whole: CarriedJSON
    do throws(JSONError) { whole = try CarriedJSON(validating: document) } catch {
      throw StartupError(status: .internalError, message: "the document in the program is damaged: \(error)")
    }
    shell.terminal.put(try part(of: whole, about: name))
    return .success
  }

  /// Where the document has parts with names, and the member that is the name.
  private static let lists = [("methods", "name"), ("x-reverse-methods", "name"), ("x-notifications", "name"), ("x-events", "type")]

  private static func part(of document: CarriedJSON, about name: String) throws(StartupError) -> Bytes {
    var found: [String: CarriedJSON] = [:]
    var names: [String] = []
    for (list, key) in lists {
      for entry in document[list]?.elements ?? [] {
        let entryName = entry[key]?.stringValue ?? ""
        names.append(entryName)
        if entryName == name { found[list] = entry }
      }
    }
    guard !found.isEmpty else { throw unknown(name, names) }
    let used = definitions(in: document, from: Array(found.values))
    var writer = JSONWriter(capacity: 16384)
    writer.beginObject()
    writer.member("openrpc", ifPresent: document["openrpc"])
    writer.member("info", ifPresent: document["info"])
    for (list, _) in lists where list == "methods" || found[list] != nil {
      writer.key(escaping: list)
      writer.beginArray()
      if let entry = found[list] { writer.value(entry) }
      writer.endArray()
    }
    writer.key("components")
    writer.beginObject()
    document["components"]?.forEachMember { kind, values in
      guard let names = used[kind.text] else { return }
      writer.key(kind)
      writer.beginObject()
      values.forEachMember { name, value in
        guard names.contains(name.text) else { return }
        writer.key(name)
        writer.value(value)
      }
      writer.endObject()
    }
    writer.endObject()
    writer.endObject()
    return IndentedJSON.text(of: CarriedJSON(trusted: writer.finish()))
  }

  private static func unknown(_ name: String, _ names: [String]) -> StartupError {
    let near = NearNames.near(name, among: names, most: 5)
    let list = near.isEmpty ? "there are " + names.joined(separator: ", ") : "near it: " + near.joined(separator: ", ")
    return StartupError(status: .usage, message: "the protocol has no '\(VisibleText.shown(name))'; \(list)")
  }

  // MARK: Definitions

  /// The names of the components that `values` refer to, and those that these refer to, by kind.
  private static func definitions(in document: CarriedJSON, from values: [CarriedJSON]) -> [String: Set<String>] {
    var found: [String: Set<String>] = [:]
    var open = values
    while let value = open.popLast() {
      for reference in references(in: value) {
        let steps = reference.split(separator: "/").map(String.init)
        guard steps.count == 4, steps[1] == "components", found[steps[2], default: []].insert(steps[3]).inserted,
          let target = document["components"]?[steps[2]]?[steps[3]]
        else { continue }
        open.append(target)
      }
    }
    return found
  }

  private static func references(in value: CarriedJSON) -> [String] {
    var found: [String] = []
    switch value.kind {
    case .array: value.forEachElement { found += references(in: $0) }
    case .object:
      value.forEachMember { name, member in
        if name == "$ref", let reference = member.stringValue { found.append(reference) } else { found += references(in: member) }
      }
    default: break
    }
    return found
  }
}
