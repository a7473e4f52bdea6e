import AgentRuntime
import JSON
import JSONSchema

/// The schema validator behind the runtime's port.
struct SchemaAdapter: SchemaCompiler {
  private struct Compiled: CompiledSchema {
    let schema: JSONSchema

    func failures(of value: CarriedJSON) -> [String] { schema.failures(of: value).map(\.message) }
  }

  func compile(_ schema: CarriedJSON) throws(RuntimeError) -> any CompiledSchema {
    do throws(SchemaError) { return Compiled(schema: try JSONSchema(compiling: schema)) } catch {
      throw RuntimeError(.toolInvalidSchema, error.message, pointer: error.pointer)
    }
  }
}
