package import JSON

/// A change to what the model is offered and told, which a client's tool result brings with it: protocol section 6.
///
/// Its operations are applied in the order of its members, all or none.
package struct Augmentation: Sendable, Equatable {
  package var removeToolkits: [String] = []
  package var injectToolkits: [Toolkit] = []
  package var expandToolkits: [String] = []
  package var collapseToolkits: [String] = []
  package var hideTools: [String] = []
  package var showTools: [String] = []
  package var addContext: [ContextItem] = []
  package var removeContext: [String] = []
  /// Takes the place of the shared state; JSON's null leaves none.
  package var updateState: CarriedJSON?
  /// An RFC 7396 merge patch to the shared state.
  package var patchState: CarriedJSON?

  package init() {}

  package static let carriedPaths = CarriedPaths(["/updateState", "/patchState", "/addContext/*/value"])
    .union(Toolkit.listPaths.nested(under: "/injectToolkits"))

  /// - Throws: `invalidParams` with the pointer of the member that is missing or wrong.
  package init(reading json: CarriedJSON, at pointer: String) throws(RuntimeError) {
    self = try RunParams.read(Augmentation.self, json, at: pointer, carrying: Self.carriedPaths)
  }

  package var isEmpty: Bool { self == Augmentation() }

  /// The tools that it brings, list by list, with the place of each; the augmentation stands at `pointer`.
  func newTools(at pointer: String) -> [(tools: [Tool], place: String)] {
    injectToolkits.enumerated().map { ($1.tools, "\(pointer)/injectToolkits/\($0)/tools") }
  }

  /// Judges what needs no look at a toolbox.
  /// - Parameter isInsideResult: It stands in a tool result, which declares client tools only.
  /// - Throws: `tool.invalid` that names the toolkit and the tool; `invalidParams` for a member that is missing.
  package func check(at pointer: String, isInsideResult: Bool) throws(RuntimeError) {
    for (index, toolkit) in injectToolkits.enumerated() {
      let place = "\(pointer)/injectToolkits/\(index)"
      try toolkit.check(at: place)
      guard isInsideResult, let server = toolkit.tools.firstIndex(where: { $0.target == .server }) else { continue }
      let name = toolkit.tools[server].name
      throw .aboutTool(
        name, .toolInvalid, "tool '\(name)' of toolkit '\(toolkit.name)': a tool result declares client tools only",
        at: "\(place)/tools/\(server)")
    }
  }
}

/// Something that the model is to know about the client's side.
package struct ContextItem: Sendable, Codable, Equatable {
  package var key: String
  package var description: String
  package var value: CarriedJSON

  package init(key: String, description: String, value: CarriedJSON) {
    self.key = key
    self.description = description
    self.value = value
  }

  /// Keys are told apart by their bytes: Swift holds some strings equal that are different.
  var exactKey: Bytes { Bytes(key) }

  func isCalled(_ name: String) -> Bool { key == name && key.utf8.elementsEqual(name.utf8) }
}

extension Augmentation: Codable {
  private enum CodingKeys: String, CodingKey {
    case removeToolkits, injectToolkits, expandToolkits, collapseToolkits, hideTools, showTools, addContext, removeContext
    case updateState, patchState
  }

  /// By hand, because every list may be absent, and because a state of null is not an absent one.
  package init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    func names(_ key: CodingKeys) throws -> [String] { try members.decodeIfPresent([String].self, forKey: key) ?? [] }
    func carried(_ key: CodingKeys) throws -> CarriedJSON? {
      members.contains(key) ? try members.decode(CarriedJSON.self, forKey: key) : nil
    }
    removeToolkits = try names(.removeToolkits)
    injectToolkits = try members.decodeIfPresent([Toolkit].self, forKey: .injectToolkits) ?? []
    expandToolkits = try names(.expandToolkits)
    collapseToolkits = try names(.collapseToolkits)
    hideTools = try names(.hideTools)
    showTools = try names(.showTools)
    addContext = try members.decodeIfPresent([ContextItem].self, forKey: .addContext) ?? []
    removeContext = try names(.removeContext)
    updateState = try carried(.updateState)
    patchState = try carried(.patchState)
  }

  package func encode(to encoder: any Encoder) throws {
    var members = encoder.container(keyedBy: CodingKeys.self)
    func put(_ list: some Collection & Encodable, _ key: CodingKeys) throws {
      if !list.isEmpty { try members.encode(list, forKey: key) }
    }
    try put(removeToolkits, .removeToolkits)
    try put(injectToolkits, .injectToolkits)
    try put(expandToolkits, .expandToolkits)
    try put(collapseToolkits, .collapseToolkits)
    try put(hideTools, .hideTools)
    try put(showTools, .showTools)
    try put(addContext, .addContext)
    try put(removeContext, .removeContext)
    try members.encodeIfPresent(updateState, forKey: .updateState)
    try members.encodeIfPresent(patchState, forKey: .patchState)
  }
}
