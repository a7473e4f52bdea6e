package import JSON

/// A compiled JSON Schema: draft 2020-12, with the idioms of draft-07 that tools still send.
///
/// Made for schemas and instances of strangers. What a schema asks and this validator does not understand is refused when it is compiled, not
/// ignored; nothing is fetched; and every evaluation ends within a budget that depends on the size of the instance alone.
///
/// Beyond 2020-12: `definitions`, `dependencies`, `items` as an array with `additionalItems`, `$id` as an anchor under a draft-07 `$schema`
/// (`$ref` hides no sibling but that `$id`), and OpenAPI's `nullable: true`, which adds null to the `type` beside it.
/// Members whose names begin with `x-` and a list of well-known annotations are allowed and mean nothing.
package struct JSONSchema: Sendable {
  /// The most failures that are reported for one instance.
  package static let mostFailures = 10

  private let compiled: CompiledSchema

  /// - Parameters:
  ///   - assertFormats: whether date-time, date, time, email, hostname, ipv4, ipv6, uri and uuid are held against strings; every other
  ///     `format`, and all of them when this is false, is an annotation.
  ///   - documents: what a `$ref` may lead to besides the schema itself, by URI without a fragment.
  package init(compiling schema: CarriedJSON, assertFormats: Bool = true, documents: [String: CarriedJSON] = [:]) throws(SchemaError) {
    compiled = try SchemaCompiler.compile(schema, assertFormats: assertFormats, documents: documents)
  }

  /// What is wrong with `instance`, at most `mostFailures` of it; empty when it is valid.
  ///
  /// A name that is there twice in one object makes the instance invalid, whatever the schema says: who reads the value next may take the other one.
  package func failures(of instance: CarriedJSON) -> [SchemaFailure] {
    let value: Value
    do throws(ValueError) {
      value = try ValueParser.parse(instance)
    } catch {
      return [SchemaFailure(instancePointer: error.pointer, schemaPointer: "", message: Words.message(for: error))]
    }
    var evaluator = Evaluator(compiled, weight: value.weight, collecting: false)
    if evaluator.run(value), evaluator.stopped == nil { return [] }
    if let stopped = evaluator.stopped { return [stopped] }
    // Valid instances, the most, pay nothing for the words.
    evaluator = Evaluator(compiled, weight: value.weight, collecting: true)
    _ = evaluator.run(value)
    return evaluator.report
  }
}
