import JSON

/// Holds one instance against a schema.
///
/// It either answers as soon as it can (`collecting` is false) or goes on to gather failures.
struct Evaluator {
  /// Subschemas inside one another. The stack of the thread must hold them: measured 1.6 MB optimised, 5 MB not.
  static let deepest = 800
  /// Steps that every evaluation may take, and how many more for each value, or 64 bytes of text, of the instance.
  static let leastSteps = 1_000_000
  static let stepsPerWeight = 64
  static let mostSteps = 50_000_000
  /// Bytes or items that a pattern may look at for one step; in every match, and how many more for each byte of the text.
  static let patternUnitsPerStep = 16
  static let leastPatternUnits = 8_000_000
  static let patternUnitsPerByte = 8

  /// A failure with what the words for `anyOf` look at.
  struct Failure {
    var instancePointer: String
    /// Where in the schema; the pointer is made only for what is reported.
    var location: Int
    var keyword: String?
    var message: String
    /// How deep in the instance.
    var depth: Int
    /// What `type` asked for, when that is the failure.
    var kinds: Kinds?
    /// What `const` or `enum` asked for, when that is the failure.
    var options: [Value]?
  }

  let schema: CompiledSchema
  var collecting: Bool
  var failures: [Failure] = []
  /// Why the evaluation ended early; the answer is then "invalid".
  private(set) var stopped: SchemaFailure?
  /// Where in the instance.
  var path: [Token] = []
  /// The resources that have been entered, outermost first: what `$dynamicRef` looks through.
  var scope: [Int] = []
  /// What messages are about, when it is not the value at `path` but its name.
  var subject: String?
  private var steps: Int
  private var depth = 0

  enum Token {
    case name(ExactString)
    case index(Int)
  }

  init(_ schema: CompiledSchema, weight: Int, collecting: Bool) {
    self.schema = schema
    self.collecting = collecting
    steps = min(Self.leastSteps + weight * Self.stepsPerWeight, Self.mostSteps)
  }

  mutating func run(_ value: Value) -> Bool {
    var evaluated = Evaluated()
    return fits(0, value, &evaluated)
  }

  /// The failures found; never empty.
  var report: [SchemaFailure] {
    var all = failures.prefix(JSONSchema.mostFailures).map { failure in
      SchemaFailure(
        instancePointer: failure.instancePointer, schemaPointer: pointer(failure.location, failure.keyword), message: failure.message)
    }
    if let stopped, all.count < JSONSchema.mostFailures { all.append(stopped) }
    if all.isEmpty { all.append(SchemaFailure(instancePointer: "", schemaPointer: "", message: "/ does not fit the schema")) }
    return all
  }

  /// Whether it is time to leave: the budget is spent, or the answer is known and nobody asks for more.
  var isFinished: Bool { stopped != nil || !collecting || failures.count >= JSONSchema.mostFailures }

  // MARK: - The budget

  /// - Returns: false when the evaluation has ended.
  mutating func spend(_ count: Int) -> Bool {
    guard stopped == nil else { return false }
    steps -= count
    if steps < 0 { stop("the schema is too expensive to check against this value", at: 0) }
    return stopped == nil
  }

  mutating func stop(_ message: String, at location: Int, _ keyword: String? = nil) {
    guard stopped == nil else { return }
    stopped = SchemaFailure(instancePointer: instancePointer, schemaPointer: pointer(location, keyword), message: message)
  }

  /// Whether `pattern` is found in `text`; false also when that cannot be said, and then the evaluation has ended.
  mutating func matches(_ pattern: Pattern, _ text: ExactString, _ node: SchemaNode, _ keyword: String) -> Bool {
    guard stopped == nil else { return false }
    let all = min(steps * Self.patternUnitsPerStep, Self.leastPatternUnits + text.utf8Count * Self.patternUnitsPerByte)
    var left = all
    let outcome = pattern.match(text.text, budget: &left)
    steps -= 1 + (all - left) / Self.patternUnitsPerStep
    if outcome == .tooExpensive {
      stop("the pattern \(Words.plain(Words.clip(pattern.source))) was too expensive to match", at: node.location, keyword)
    }
    return outcome == .matched
  }

  /// Adds what a fitting subschema has evaluated.
  mutating func absorb(_ other: Evaluated, into evaluated: inout Evaluated) {
    guard schema.tracksEvaluated, spend(other.members.count + other.otherElements.count) else { return }
    evaluated.allMembers = evaluated.allMembers || other.allMembers
    evaluated.members.formUnion(other.members)
    evaluated.elements = max(evaluated.elements, other.elements)
    evaluated.otherElements.formUnion(other.otherElements)
  }

  // MARK: - Subschemas

  /// Whether `value` fits a subschema; what it has evaluated goes into `evaluated`, which the caller drops when it does not fit.
  mutating func fits(_ index: Int, _ value: Value, _ evaluated: inout Evaluated) -> Bool {
    guard spend(1) else { return false }
    let node = schema.nodes[index]
    switch node.body {
    case .always: return true
    case .never:
      fail(node, nil) { "\($0) is not allowed" }
      return false
    case .rules(let rules):
      guard depth < Self.deepest else {
        stop("the value is nested too deeply for this schema", at: node.location)
        return false
      }
      depth += 1
      let isNewScope = scope.last != node.resource
      if isNewScope { scope.append(node.resource) }
      defer {
        depth -= 1
        if isNewScope { scope.removeLast() }
      }
      // `unevaluated…` sees what its own schema has evaluated, not what a schema beside it has.
      guard rules.last?.rank == 4 else { return fits(rules, node, value, &evaluated) }
      var own = Evaluated()
      guard fits(rules, node, value, &own) else { return false }
      absorb(own, into: &evaluated)
      return true
    }
  }

  private mutating func fits(_ rules: [Rule], _ node: SchemaNode, _ value: Value, _ evaluated: inout Evaluated) -> Bool {
    var fits = true
    for rule in rules {
      guard spend(1) else { return false }
      // Without the results of rules that failed, everything would seem unevaluated.
      if !fits, rule.rank == 4 { break }
      if holds(rule, node, value, &evaluated) { continue }
      fits = false
      // Of a value of the wrong type, nothing else is worth saying.
      if isFinished || rule.rank == 0 { return false }
    }
    return fits
  }

  private mutating func holds(_ rule: Rule, _ node: SchemaNode, _ value: Value, _ evaluated: inout Evaluated) -> Bool {
    switch rule.rank {
    case 0, 1: return holdsForAny(rule, node, value)
    case 2:
      switch value {
      case .number(let number): return holds(rule, node, number)
      case .string(let text): return holds(rule, node, text)
      case .array(let elements): return holds(rule, node, elements)
      case .object(let members): return holds(rule, node, members)
      case .null, .bool: return true
      }
    default:
      switch (rule.check, value) {
      case (.members, .object(let members)), (.names, .object(let members)), (.unevaluatedProperties, .object(let members)):
        return holdsInside(rule, node, members, &evaluated)
      case (.elements, .array(let elements)), (.contains, .array(let elements)), (.unevaluatedItems, .array(let elements)):
        return holdsInside(rule, node, elements, &evaluated)
      default: return holdsInPlace(rule, node, value, &evaluated)
      }
    }
  }
}

/// What of an object or array has been looked at, for `unevaluatedProperties` and `unevaluatedItems`; kept only when a schema asks.
struct Evaluated {
  var allMembers = false
  /// Places in `Members.all`.
  var members: Set<Int> = []
  /// The elements before this one.
  var elements = 0
  var otherElements: Set<Int> = []
}
