import JSON
import JSONSchema
import Testing

func json(_ text: String) throws -> CarriedJSON { try CarriedJSON(validating: Bytes(text)) }

func compile(_ schema: String, assertFormats: Bool = true, documents: [String: String] = [:]) throws -> JSONSchema {
  try JSONSchema(compiling: json(schema), assertFormats: assertFormats, documents: documents.mapValues { try json($0) })
}

/// The error that the schema is refused with; nil when it is not.
func refusal(_ schema: String, documents: [String: String] = [:]) throws -> SchemaError? {
  let source = try json(schema)
  let documents = try documents.mapValues { try json($0) }
  do throws(SchemaError) {
    _ = try JSONSchema(compiling: source, documents: documents)
    return nil
  } catch { return error }
}

func failures(_ schema: String, _ instance: String) throws -> [SchemaFailure] {
  try compile(schema).failures(of: json(instance))
}

func messages(_ schema: String, _ instance: String) throws -> [String] { try failures(schema, instance).map(\.message) }

func accepts(_ schema: String, _ instance: String) throws -> Bool { try failures(schema, instance).isEmpty }
