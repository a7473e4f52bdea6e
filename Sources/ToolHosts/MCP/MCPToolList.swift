import JSON

/// A tool as its server describes it.
struct MCPListedTool: Sendable, Equatable {
  var name: String
  var json: CarriedJSON
}

/// A list of tools that comes in pages.
struct MCPToolList: Sendable {
  private(set) var tools: [MCPListedTool] = []
  private var names: Set<String> = []
  private var cursors: Set<String> = []
  private var pages = 0
  private let mostPages: Int

  init(mostPages: Int) { self.mostPages = mostPages }

  /// What in a page is only carried.
  static let carriedPaths: CarriedPaths = [
    "/tools/*/inputSchema", "/tools/*/outputSchema", "/tools/*/_meta", "/tools/*/icons", "/tools/*/execution", "/_meta",
  ]

  enum Next: Sendable, Equatable {
    case page(cursor: CarriedJSON)
    case complete
    /// No more can be read; what was is what there is. Goes on after "MCP server 'x'".
    case cut(String)
    /// Goes on after "the MCP server 'x'".
    case failed(String)
  }

  /// Adds a page.
  mutating func take(_ page: CarriedJSON) -> Next {
    guard let list = page["tools"], list.kind == .array else { return .failed("answered tools/list without a list of tools") }
    pages += 1
    list.forEachElement { json in
      // Of two with one name only one could be called.
      guard let name = json["name"]?.stringValue, !name.isEmpty, names.insert(name).inserted else { return }
      tools.append(MCPListedTool(name: name, json: json))
    }
    guard let cursor = page["nextCursor"], let text = cursor.stringValue else { return .complete }
    guard cursors.insert(text).inserted else {
      // It may be one, but some servers mean by it that there are no more.
      if text.isEmpty { return .complete }
      return .cut("pointed at a page of its list of tools that it had given already")
    }
    guard pages < mostPages else { return .cut("has more than \(mostPages) pages of tools") }
    return .page(cursor: cursor)
  }
}
