import JSON

/// Turns a schema into nodes.
///
/// First every place where a schema stands is found, with its URIs and anchors (`index`); then each keyword is compiled, which may find more
/// places, where a `$ref` points into something that is no schema by itself; then loops are looked for.
struct SchemaCompiler {
  static let deepest = 128
  static let mostSubschemas = 20_000
  static let mostValues = 500_000
  /// Bytes in the compiled form of all patterns: a few characters such as `(?:(?:ab|c){30}){30}` make tens of kilobytes of it.
  static let mostPatternBytes = 8_388_608
  /// Bytes in a `$ref`, and in what an `$id` resolves to.
  static let longestURI = 4096

  /// What a node is compiled from.
  struct Source {
    /// nil for a boolean schema.
    var members: Members?
    var dialect: Dialect
  }

  let assertFormats: Bool
  let documents: [String: CarriedJSON]
  var nodes: [SchemaNode] = []
  /// One for each node.
  var sources: [Source] = []
  var locations: [Location] = []
  var placeOf: [Location: Int] = [:]
  /// The node at a location.
  var nodeAt: [Int: Int] = [:]
  var resources: [Resource] = []
  var resourceNamed: [ExactString: Int] = [:]
  /// The root value of each document, by its root location.
  var roots: [Int: Value] = [:]
  var tracksEvaluated = false
  var patternBytes = 0

  static func compile(
    _ schema: CarriedJSON, assertFormats: Bool, documents: [String: CarriedJSON]
  ) throws(SchemaError) -> CompiledSchema {
    var compiler = SchemaCompiler(assertFormats: assertFormats, documents: documents)
    _ = try compiler.addDocument(schema, base: "", prefix: "")
    var next = 0
    while next < compiler.nodes.count {
      try compiler.compileNode(next)
      next += 1
    }
    try compiler.refuseLoops()
    return CompiledSchema(
      nodes: compiler.nodes, locations: compiler.locations, resources: compiler.resources, tracksEvaluated: compiler.tracksEvaluated)
  }

  private init(assertFormats: Bool, documents: [String: CarriedJSON]) {
    self.assertFormats = assertFormats
    self.documents = documents
  }

  /// - Returns: the resource at its root.
  mutating func addDocument(_ schema: CarriedJSON, base: String, prefix: String) throws(SchemaError) -> Int {
    let value: Value
    do throws(ValueError) {
      value = try ValueParser.parse(schema, mostValues: Self.mostValues)
    } catch {
      switch error.reason {
      case .tooDeep: throw SchemaError(.tooLarge, at: "", "the schema is nested deeper than \(ValueParser.deepest) levels")
      case .tooMany: throw SchemaError(.tooLarge, at: "", "the schema holds more than \(Self.mostValues) values")
      case .duplicate: throw SchemaError(.invalidSchema, at: prefix + error.pointer, "a member name is there twice")
      }
    }
    let root = locations.count
    locations.append(Location(parent: -1, token: ExactString(prefix)))
    roots[root] = value
    // A document that does not say its dialect is read in that of the schema.
    let node = try index(value, at: root, in: nil, base: URIReference(base), dialect: sources.first?.dialect ?? .current, depth: 0)
    resourceNamed[ExactString(base)] = nodes[node].resource
    return nodes[node].resource
  }

  // MARK: - Places

  mutating func location(_ parent: Int, _ token: ExactString) -> Int {
    let place = Location(parent: parent, token: token)
    if let known = placeOf[place] { return known }
    locations.append(place)
    placeOf[place] = locations.count - 1
    return locations.count - 1
  }

  func pointer(_ location: Int, _ tokens: String...) -> String {
    locations.pointer(to: location) + tokens.map { "/" + JSONPointer.escape($0) }.joined()
  }

  /// Finds this schema and those inside it. - Returns: its node.
  mutating func index(
    _ value: Value, at location: Int, in parent: Int?, base: URIReference, dialect: Dialect, depth: Int
  ) throws(SchemaError) -> Int {
    if let known = nodeAt[location] { return known }
    guard depth < Self.deepest else {
      throw SchemaError(.tooLarge, at: pointer(location), "subschemas are nested deeper than \(Self.deepest) levels")
    }
    guard nodes.count < Self.mostSubschemas else {
      throw SchemaError(.tooLarge, at: pointer(location), "more than \(Self.mostSubschemas) subschemas")
    }
    var body = SchemaNode.Body.rules([])
    var members: Members?
    switch value {
    case .bool(let accepts): body = accepts ? .always : .never
    case .object(let all): members = all
    default:
      throw SchemaError(.invalidSchema, at: pointer(location), "a schema must be an object or a boolean, not \(value.kinds.words)")
    }
    let node = nodes.count
    nodes.append(SchemaNode(location: location, resource: parent ?? 0, body: body))
    sources.append(Source(members: members, dialect: dialect))
    nodeAt[location] = node
    var resource = parent
    if resource == nil {
      resource = resources.count
      resources.append(Resource(base: base, root: node, rootLocation: location))
    }
    nodes[node].resource = resource ?? 0
    if let members {
      try identify(node, members, isRoot: parent == nil)
      try indexSubschemas(of: node, members, depth: depth)
    }
    return node
  }

  private mutating func indexSubschemas(of node: Int, _ members: Members, depth: Int) throws(SchemaError) {
    let place = nodes[node].location
    for (keyword, value) in members.all {
      guard let role = Vocabulary.role(of: keyword.text) else {
        let message = "the keyword \(Words.quote(keyword.text)) is not known and would be ignored"
        throw SchemaError(.unknownKeyword, at: pointer(place, keyword.text), message)
      }
      switch (role, value) {
      case (.schema, _): try index(value, under: node, keyword, nil, depth)
      case (.schemaArray, .array(let elements)), (.schemaOrArray, .array(let elements)):
        for (offset, element) in elements.all.enumerated() {
          try index(element, under: node, keyword, ExactString(String(offset)), depth)
        }
      case (.schemaOrArray, _): try index(value, under: node, keyword, nil, depth)
      case (.schemaMap, .object(let schemas)):
        for (name, schema) in schemas.all { try index(schema, under: node, keyword, name, depth) }
      case (.dependencies, .object(let dependencies)):
        for (name, dependency) in dependencies.all {
          if case .array = dependency { continue }
          try index(dependency, under: node, keyword, name, depth)
        }
      case (.schemaArray, _): throw wrong(place, keyword.text, "an array of schemas", value)
      case (.schemaMap, _), (.dependencies, _): throw wrong(place, keyword.text, "an object", value)
      default: break
      }
    }
  }

  private mutating func index(
    _ value: Value, under node: Int, _ keyword: ExactString, _ token: ExactString?, _ depth: Int
  ) throws(SchemaError) {
    var place = location(nodes[node].location, keyword)
    if let token { place = location(place, token) }
    let resource = nodes[node].resource
    _ = try index(value, at: place, in: resource, base: resources[resource].base, dialect: sources[node].dialect, depth: depth + 1)
  }

  func wrong(_ location: Int, _ keyword: String, _ wanted: String, _ value: Value) -> SchemaError {
    SchemaError(.invalidSchema, at: pointer(location, keyword), "\(keyword) must be \(wanted), not \(value.kinds.words)")
  }
}
