package import AgentRuntime
package import JSON
import JSONSchema

/// The schema validator behind the runtime's port.
package struct SchemaAdapter: SchemaCompiler {
  package init() {}

  private struct Compiled: CompiledSchema {
    let schema: JSONSchema

    func failures(of value: CarriedJSON) -> [String] { schema.failures(of: value).map(\.message) }
  }

  package func compile(_ schema: CarriedJSON) throws(RuntimeError) -> any CompiledSchema {
    do throws(SchemaError) { return Compiled(schema: try JSONSchema(compiling: schema)) } catch {
      throw RuntimeError(.toolInvalidSchema, error.message, pointer: error.pointer)
    }
  }
}
