/// Why a schema is refused, and where.
package struct SchemaError: Error, Sendable, Equatable {
  package enum Code: Sendable {
    /// Neither an object nor a boolean, or a keyword with a value that it cannot have.
    case invalidSchema
    /// A keyword that would be ignored.
    case unknownKeyword
    /// `$schema` names a dialect that is not understood.
    case unknownDialect
    /// `$ref` leads nowhere, or to a document that is not at hand.
    case unresolvedReference
    /// References that lead back to where they began without looking into the instance.
    case referenceLoop
    case invalidPattern
    /// Too deep, too many subschemas, or too many values.
    case tooLarge
  }

  package var code: Code
  /// RFC 6901, from the root of the schema.
  package var pointer: String
  /// One sentence without a full stop.
  package var message: String

  package init(_ code: Code, at pointer: String, _ message: String) {
    self.code = code
    self.pointer = pointer
    self.message = message
  }
}

extension SchemaError: CustomStringConvertible {
  package var description: String { "\(pointer.isEmpty ? "/" : pointer): \(message)" }
}

/// One thing that is wrong with an instance.
package struct SchemaFailure: Sendable, Equatable {
  /// RFC 6901, from the root of the instance.
  package var instancePointer: String
  /// RFC 6901, from the root of the schema, to the keyword that is not satisfied.
  package var schemaPointer: String
  /// One sentence without a full stop that a model can act on. Names members and what the schema asks for, never a value of the instance.
  package var message: String

  package init(instancePointer: String, schemaPointer: String, message: String) {
    self.instancePointer = instancePointer
    self.schemaPointer = schemaPointer
    self.message = message
  }
}
