/// What is wrong with a JSON text or value, and where.
package struct JSONError: Error, Sendable, Equatable {
  package enum Code: Sendable {
    case syntax, invalidUTF8, trailingData, duplicateKey, tooDeep, tooManyNodes
    /// A value of another type than the one asked for, or a required member that is absent.
    case typeMismatch, missingMember, invalidValue
  }

  package var code: Code
  /// One sentence without a full stop; names no value.
  package var message: String
  /// Byte offset in the text; nil for an error about a parsed value.
  package var offset: Int?
  package var line: Int?
  /// In bytes, from 1.
  package var column: Int?
  /// RFC 6901.
  package var pointer: String?

  package init(_ code: Code, _ message: String, offset: Int? = nil, pointer: String? = nil) {
    self.code = code
    self.message = message
    self.offset = offset
    self.pointer = pointer
  }

  /// The same with line and column worked out from `text`.
  package func located(in text: Bytes) -> JSONError {
    guard let offset, line == nil else { return self }
    var located = self
    (located.line, located.column) = unsafe text.withUnsafeBytes { bytes in
      var line = 1
      var lineStart = 0
      for i in 0..<min(offset, bytes.count) where unsafe bytes[i] == 0x0A {
        line += 1
        lineStart = i + 1
      }
      return (line, offset - lineStart + 1)
    }
    return located
  }

  /// For people: the message with its place.
  package var description: String {
    var text = message
    if let line, let column { text += " at line \(line), column \(column)" }
    if let pointer, !pointer.isEmpty { text += " at \(pointer)" }
    return text
  }
}

extension JSONError: CustomStringConvertible {}
