import JSON

extension SchemaCompiler {
  /// Compiles the keywords of a node that has been indexed.
  mutating func compileNode(_ node: Int) throws(SchemaError) {
    guard let members = sources[node].members else { return }
    var rules: [Rule] = []
    for (keyword, value) in members.all {
      if keyword == "dependencies" {
        for check in try dependencies(value, node) { rules.append(Rule(keyword: keyword.text, check: check)) }
      } else if let check = try check(keyword.text, value, members, node) {
        rules.append(Rule(keyword: keyword.text, check: check))
      }
    }
    // `sort` keeps no order among equals, `enumerated` does.
    nodes[node].body =
      rules.isEmpty
      ? .always : .rules(rules.enumerated().sorted { ($0.element.rank, $0.offset) < ($1.element.rank, $1.offset) }.map(\.element))
  }

  /// - Returns: nil for what asks nothing by itself.
  private mutating func check(_ keyword: String, _ value: Value, _ members: Members, _ node: Int) throws(SchemaError) -> Check? {
    let place = nodes[node].location
    switch keyword {
    case "type": return try .type(kinds(value, members, place))
    case "nullable":
      guard case .bool = value else { throw wrong(place, keyword, "a boolean", value) }
      return nil
    case "const": return .constant(value)
    case "enum":
      guard case .array(let values) = value else { throw wrong(place, keyword, "an array", value) }
      return .enumeration(Enumeration(values.all))
    case "pattern":
      guard case .string(let text) = value else { throw wrong(place, keyword, "a string", value) }
      return try .pattern(pattern(text.text, place, keyword))
    case "format":
      guard case .string(let text) = value else { throw wrong(place, keyword, "a string", value) }
      return assertFormats ? Format(rawValue: text.text).map { .format($0) } : nil
    case "required": return try .required(names(value, pointer(place, keyword), keyword))
    case "dependentRequired":
      guard case .object(let dependents) = value else { throw wrong(place, keyword, "an object", value) }
      var all: [(ExactString, [ExactString])] = []
      for (name, others) in dependents.all { all.append((name, try names(others, pointer(place, keyword, name.text), keyword))) }
      return .dependentRequired(all)
    case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf": return try numberCheck(keyword, value, place)
    case "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains", "uniqueItems":
      return try countCheck(keyword, value, place)
    default: return try applicator(keyword, value, members, node)
    }
  }

  // MARK: - Assertions

  private mutating func kinds(_ value: Value, _ members: Members, _ place: Int) throws(SchemaError) -> Kinds {
    var names: [Value] = [value]
    if case .array(let elements) = value { names = elements.all }
    var kinds: Kinds = []
    for name in names {
      guard case .string(let text) = name, let kind = Kinds(named: text.text) else {
        let message = "type must be one of string, number, integer, boolean, object, array, null, or an array of them"
        throw SchemaError(.invalidSchema, at: pointer(place, "type"), message)
      }
      kinds.formUnion(kind)
    }
    guard !kinds.isEmpty else { throw SchemaError(.invalidSchema, at: pointer(place, "type"), "type must not be empty") }
    // OpenAPI 3.0: a null is allowed beside what `type` says. It lets no null past `enum` or `const`.
    if case .bool(true) = members["nullable"] { kinds.insert(.null) }
    return kinds
  }

  private mutating func names(_ value: Value, _ pointer: String, _ keyword: String) throws(SchemaError) -> [ExactString] {
    guard case .array(let elements) = value else {
      throw SchemaError(.invalidSchema, at: pointer, "\(keyword) must be an array of strings, not \(value.kinds.words)")
    }
    var names: [ExactString] = []
    for (offset, element) in elements.all.enumerated() {
      guard case .string(let name) = element else {
        throw SchemaError(.invalidSchema, at: "\(pointer)/\(offset)", "\(keyword) must be an array of strings")
      }
      names.append(name)
    }
    return names
  }

  private mutating func pattern(_ source: String, _ place: Int, _ tokens: String...) throws(SchemaError) -> Pattern {
    func at() -> String { locations.pointer(to: place) + tokens.map { "/" + JSONPointer.escape($0) }.joined() }
    do throws(PatternError) {
      let pattern = try Pattern(source)
      patternBytes += pattern.size
      if patternBytes <= Self.mostPatternBytes { return pattern }
    } catch {
      throw SchemaError(.invalidPattern, at: at(), "not a regular expression of ECMA-262 that can be used: \(error.message)")
    }
    throw SchemaError(.tooLarge, at: at(), "the patterns of the schema take more than \(Self.mostPatternBytes) bytes when compiled")
  }

  private mutating func numberCheck(_ keyword: String, _ value: Value, _ place: Int) throws(SchemaError) -> Check {
    guard case .number(let number) = value else {
      if case .bool = value, keyword.hasPrefix("exclusive") {
        let message = "\(keyword) must be a number: the booleans of draft-04 are not understood"
        throw SchemaError(.invalidSchema, at: pointer(place, keyword), message)
      }
      throw wrong(place, keyword, "a number", value)
    }
    switch keyword {
    case "minimum": return .minimum(number)
    case "maximum": return .maximum(number)
    case "exclusiveMinimum": return .exclusiveMinimum(number)
    case "exclusiveMaximum": return .exclusiveMaximum(number)
    default:
      guard let divisor = Divisor(number) else {
        throw SchemaError(
          .invalidSchema, at: pointer(place, keyword), "multipleOf must be above 0, with at most \(Divisor.mostDigits) significant digits")
      }
      return .multipleOf(divisor)
    }
  }

  private mutating func countCheck(_ keyword: String, _ value: Value, _ place: Int) throws(SchemaError) -> Check? {
    if keyword == "uniqueItems" {
      guard case .bool(let isAsked) = value else { throw wrong(place, keyword, "a boolean", value) }
      return isAsked ? .uniqueItems : nil
    }
    let count = try count(keyword, value, place)
    switch keyword {
    case "minLength": return .minLength(count)
    case "maxLength": return .maxLength(count)
    case "minItems": return .minItems(count)
    case "maxItems": return .maxItems(count)
    case "minProperties": return .minProperties(count)
    case "maxProperties": return .maxProperties(count)
    default: return nil
    }
  }

  private mutating func count(_ keyword: String, _ value: Value, _ place: Int) throws(SchemaError) -> Int {
    guard case .number(let number) = value, let count = number.count else {
      throw SchemaError(.invalidSchema, at: pointer(place, keyword), "\(keyword) must be an integer of at least 0")
    }
    return count
  }

  private mutating func count(_ keyword: String, in members: Members, _ place: Int) throws(SchemaError) -> Int? {
    guard let value = members[ExactString(keyword)] else { return nil }
    return try count(keyword, value, place)
  }

  // MARK: - Applicators

  /// The node of a subschema that `index` has found.
  private mutating func subschema(_ node: Int, _ keyword: String, _ token: ExactString? = nil) -> Int {
    var place = location(nodes[node].location, ExactString(keyword))
    if let token { place = location(place, token) }
    guard let found = nodeAt[place] else { preconditionFailure("a subschema was not indexed") }
    return found
  }

  private mutating func subschemas(_ node: Int, _ keyword: String, _ value: Value) throws(SchemaError) -> [Int] {
    guard case .array(let elements) = value, elements.count > 0 else {
      throw SchemaError(.invalidSchema, at: pointer(nodes[node].location, keyword), "\(keyword) must not be empty")
    }
    return elements.all.indices.map { subschema(node, keyword, ExactString(String($0))) }
  }

  private mutating func applicator(_ keyword: String, _ value: Value, _ members: Members, _ node: Int) throws(SchemaError) -> Check? {
    let place = nodes[node].location
    switch keyword {
    case "$ref", "$dynamicRef":
      guard case .string(let reference) = value else { throw wrong(place, keyword, "a string", value) }
      let target = try resolve(reference.text, from: node, keyword)
      return keyword == "$ref" ? .reference(target) : dynamicReference(reference.text, target)
    case "allOf": return try .allOf(subschemas(node, keyword, value))
    case "anyOf": return try .anyOf(subschemas(node, keyword, value))
    case "oneOf": return try .oneOf(subschemas(node, keyword, value))
    case "not": return .not(subschema(node, keyword))
    case "if":
      return .condition(
        condition: subschema(node, keyword), then: members["then"].map { _ in subschema(node, "then") },
        otherwise: members["else"].map { _ in subschema(node, "else") })
    case "dependentSchemas":
      guard case .object(let dependents) = value else { return nil }
      return .dependentSchemas(dependents.all.map { ($0.name, subschema(node, keyword, $0.name)) })
    case "properties": return try .members(memberRules(members, node))
    case "patternProperties": return try members["properties"] == nil ? .members(memberRules(members, node)) : nil
    case "additionalProperties":
      return try members["properties"] == nil && members["patternProperties"] == nil ? .members(memberRules(members, node)) : nil
    case "propertyNames": return .names(subschema(node, keyword))
    case "prefixItems", "items": return try elementRules(keyword, value, members, node)
    case "contains":
      return .contains(
        schema: subschema(node, keyword), least: try count("minContains", in: members, place) ?? 1,
        most: try count("maxContains", in: members, place))
    case "unevaluatedItems":
      tracksEvaluated = true
      return .unevaluatedItems(subschema(node, keyword))
    case "unevaluatedProperties":
      tracksEvaluated = true
      return .unevaluatedProperties(subschema(node, keyword))
    default: return nil
    }
  }

  /// A `$dynamicRef` is one only when what it leads to has a `$dynamicAnchor` of that name; else it is a `$ref`.
  private func dynamicReference(_ reference: String, _ target: Int) -> Check {
    guard let fragment = URIReference(reference).decodedFragment else { return .reference(target) }
    let anchor = ExactString(fragment)
    guard resources[nodes[target].resource].dynamicAnchors[anchor] == target else { return .reference(target) }
    return .dynamicReference(anchor: anchor, fallback: target)
  }

  private mutating func memberRules(_ members: Members, _ node: Int) throws(SchemaError) -> MemberRules {
    var rules = MemberRules()
    if case .object(let named) = members["properties"] {
      for (name, _) in named.all {
        rules.named[name] = subschema(node, "properties", name)
        rules.names.append(name)
      }
    }
    if case .object(let patterns) = members["patternProperties"] {
      for (source, _) in patterns.all {
        let pattern = try pattern(source.text, nodes[node].location, "patternProperties", source.text)
        rules.patterns.append((pattern, subschema(node, "patternProperties", source)))
      }
    }
    if members["additionalProperties"] != nil { rules.additional = subschema(node, "additionalProperties") }
    return rules
  }

  private mutating func elementRules(_ keyword: String, _ value: Value, _ members: Members, _ node: Int) throws(SchemaError) -> Check? {
    if keyword == "prefixItems" {
      return try .elements(ElementRules(prefix: subschemas(node, keyword, value), rest: restOfElements(members, node)))
    }
    guard case .array(let elements) = value else {
      return members["prefixItems"] == nil ? .elements(ElementRules(rest: subschema(node, keyword))) : nil
    }
    guard members["prefixItems"] == nil else {
      throw SchemaError(.invalidSchema, at: pointer(nodes[node].location, keyword), "items must be a schema beside prefixItems")
    }
    let prefix = elements.all.indices.map { subschema(node, keyword, ExactString(String($0))) }
    return .elements(ElementRules(prefix: prefix, rest: members["additionalItems"].map { _ in subschema(node, "additionalItems") }))
  }

  private mutating func restOfElements(_ members: Members, _ node: Int) throws(SchemaError) -> Int? {
    guard let items = members["items"] else { return nil }
    if case .array = items {
      throw SchemaError(.invalidSchema, at: pointer(nodes[node].location, "items"), "items must be a schema beside prefixItems")
    }
    return subschema(node, "items")
  }

  /// The schemas and the lists of names in `dependencies` of draft-07.
  private mutating func dependencies(_ value: Value, _ node: Int) throws(SchemaError) -> [Check] {
    guard case .object(let dependents) = value else { return [] }
    var schemas: [(ExactString, Int)] = []
    var required: [(ExactString, [ExactString])] = []
    for (name, dependent) in dependents.all {
      if case .array = dependent {
        required.append((name, try names(dependent, pointer(nodes[node].location, "dependencies", name.text), "dependencies")))
      } else {
        schemas.append((name, subschema(node, "dependencies", name)))
      }
    }
    return [.dependentRequired(required), .dependentSchemas(schemas)]
  }
}
