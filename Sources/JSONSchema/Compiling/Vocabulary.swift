/// What is known about each keyword.
enum Vocabulary {
  enum Role {
    case annotation
    case core
    /// Holds no subschema.
    case assertion
    case schema, schemaArray, schemaMap
    /// A schema, or an array of them (`items` before 2020-12).
    case schemaOrArray
    /// Schemas or arrays of names by name (`dependencies` of draft-07).
    case dependencies
  }

  static func role(of keyword: String) -> Role? {
    if keyword.hasPrefix("x-") { return .annotation }
    return roles[ExactString(keyword)]
  }

  private static let roles: [ExactString: Role] = {
    var roles: [ExactString: Role] = [:]
    for (role, names) in table {
      for name in names.split(separator: " ") { roles[ExactString(String(name))] = role }
    }
    return roles
  }()

  private static let table: [(Role, String)] = [
    (.core, "$schema $id $ref $anchor $dynamicRef $dynamicAnchor"),
    (
      .assertion,
      """
      type const enum minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength pattern format minItems maxItems \
      uniqueItems minContains maxContains minProperties maxProperties required dependentRequired nullable
      """
    ),
    (
      .schema,
      """
      additionalProperties propertyNames additionalItems contains unevaluatedItems unevaluatedProperties not if then else contentSchema
      """
    ),
    (.schemaArray, "allOf anyOf oneOf prefixItems"),
    (.schemaMap, "properties patternProperties $defs definitions dependentSchemas"),
    (.schemaOrArray, "items"),
    (.dependencies, "dependencies"),
    // The draft's own, OpenAPI's, and those that editors and generators add for people and for forms.
    (
      .annotation,
      """
      $comment $vocabulary title description default examples deprecated readOnly writeOnly contentEncoding contentMediaType \
      example externalDocs xml discriminator \
      markdownDescription enumNames enumDescriptions propertyOrdering deprecationMessage errorMessage
      """
    ),
  ]

  /// What `$schema` may say. Each is read as 2020-12 with the older idioms understood.
  static func dialect(_ uri: String) -> Dialect? {
    var name = uri[...]
    for prefix in ["http://json-schema.org/", "https://json-schema.org/"] where name.hasPrefix(prefix) {
      name = name.dropFirst(prefix.count)
      if name.hasSuffix("#") { name = name.dropLast() }
      switch name {
      case "draft/2020-12/schema", "draft/2019-09/schema", "schema": return .current
      case "draft-07/schema", "draft-06/schema", "draft-04/schema": return .draft07
      default: return nil
      }
    }
    return nil
  }
}

/// The two ways to read the few things on which drafts contradict each other.
enum Dialect: Sendable {
  case current
  /// `$id` may be a plain fragment, and is an anchor then.
  case draft07
}
