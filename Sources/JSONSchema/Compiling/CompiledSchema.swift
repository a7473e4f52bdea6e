import JSON

/// A schema in the form that instances are held against: immutable, shared by every evaluation.
struct CompiledSchema: Sendable {
  var nodes: [SchemaNode]
  var locations: [Location]
  var resources: [Resource]
  /// Whether any `unevaluatedProperties` or `unevaluatedItems` needs to know what has been evaluated.
  var tracksEvaluated: Bool

  /// RFC 6901 from the root of the schema; of another document, after its URI and `#`.
  func pointer(to location: Int) -> String {
    locations.pointer(to: location)
  }
}

/// One subschema.
struct SchemaNode: Sendable {
  enum Body: Sendable {
    case always, never
    case rules([Rule])
  }

  var location: Int
  /// In `CompiledSchema.resources`.
  var resource: Int
  var body: Body
}

/// A place in a schema document.
struct Location: Hashable, Sendable {
  /// -1 for the root of a document.
  var parent: Int
  /// A member's name or an element's index; for a root, what stands before its pointers.
  var token: ExactString
}

extension [Location] {
  func pointer(to location: Int) -> String {
    var tokens: [String] = []
    var place = location
    while self[place].parent >= 0 {
      tokens.append("/" + JSONPointer.escape(self[place].token.text))
      place = self[place].parent
    }
    return self[place].token.text + tokens.reversed().joined()
  }
}

/// A part of a schema with a URI of its own: what `$id` begins, and what `$dynamicRef` looks through.
struct Resource: Sendable {
  var base: URIReference
  /// The node at its root.
  var root: Int
  var rootLocation: Int
  var anchors: [ExactString: Int] = [:]
  var dynamicAnchors: [ExactString: Int] = [:]
}

/// One keyword, or several that only mean something together, under the name of the first.
struct Rule: Sendable {
  var keyword: String
  var check: Check

  /// Cheap and telling checks first; what looks at the other rules' results last.
  var rank: Int {
    switch check {
    case .type: 0
    case .constant, .enumeration: 1
    case .reference, .dynamicReference, .allOf, .anyOf, .oneOf, .not, .condition, .dependentSchemas: 3
    case .members, .names, .elements, .contains: 3
    case .unevaluatedItems, .unevaluatedProperties: 4
    default: 2
    }
  }
}

/// What a rule asks. Subschemas are indices in `CompiledSchema.nodes`.
enum Check: Sendable {
  case type(Kinds)
  case constant(Value)
  case enumeration(Enumeration)
  case minimum(Number)
  case maximum(Number)
  case exclusiveMinimum(Number)
  case exclusiveMaximum(Number)
  case multipleOf(Divisor)
  case minLength(Int)
  case maxLength(Int)
  case pattern(Pattern)
  case format(Format)
  case minItems(Int)
  case maxItems(Int)
  case uniqueItems
  case minProperties(Int)
  case maxProperties(Int)
  case required([ExactString])
  case dependentRequired([(name: ExactString, others: [ExactString])])
  case reference(Int)
  case dynamicReference(anchor: ExactString, fallback: Int)
  case allOf([Int])
  case anyOf([Int])
  case oneOf([Int])
  case not(Int)
  case condition(condition: Int, then: Int?, otherwise: Int?)
  case dependentSchemas([(name: ExactString, schema: Int)])
  case members(MemberRules)
  case names(Int)
  case elements(ElementRules)
  case contains(schema: Int, least: Int, most: Int?)
  case unevaluatedItems(Int)
  case unevaluatedProperties(Int)

  /// The subschemas that look at the same value as this one.
  var inPlace: [Int] {
    switch self {
    case .reference(let schema), .not(let schema), .dynamicReference(_, let schema): [schema]
    case .allOf(let schemas), .anyOf(let schemas), .oneOf(let schemas): schemas
    case .condition(let condition, let then, let otherwise): [condition] + [then, otherwise].compactMap { $0 }
    case .dependentSchemas(let dependents): dependents.map(\.schema)
    default: []
    }
  }
}

/// The values of `enum`.
struct Enumeration: Sendable {
  let values: [Value]
  /// So that a long list costs one look.
  private let all: Set<Value>
  private let heaviest: Int

  init(_ values: [Value]) {
    self.values = values
    all = Set(values)
    heaviest = values.map(\.weight).max() ?? 0
  }

  /// What `contains` costs, in steps.
  func weight(ofFinding value: Value) -> Int { min(value.weight, heaviest) }

  /// Equal values have one weight, so one that is heavier than all need not be looked at.
  func contains(_ value: Value) -> Bool { value.weight <= heaviest && all.contains(value) }
}

/// `properties`, `patternProperties` and `additionalProperties` of one schema.
struct MemberRules: Sendable {
  var named: [ExactString: Int] = [:]
  /// The names of `properties` in their order, for messages.
  var names: [ExactString] = []
  var patterns: [(pattern: Pattern, schema: Int)] = []
  var additional: Int?
}

/// `prefixItems` and `items` of one schema, or the `items` and `additionalItems` of older drafts.
struct ElementRules: Sendable {
  var prefix: [Int] = []
  var rest: Int?
}
