package import JSON

/// A JSON Schema, ready to judge values.
package protocol CompiledSchema: Sendable {
  /// What is wrong with `value`, in words that name the place; empty when it fits.
  func failures(of value: CarriedJSON) -> [String]
}

package protocol SchemaCompiler: Sendable {
  /// - Throws: `tool.invalidSchema` with the pointer into the schema.
  func compile(_ schema: CarriedJSON) throws(RuntimeError) -> any CompiledSchema
}
