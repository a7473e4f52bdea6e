import CSchemas
import JSON

/// The description of the protocol that is built into the program.
enum OpenRPCDocument {
  /// As it is in `Schemas/openrpc.json`.
  static var text: Bytes {
    unsafe Bytes(copying: UnsafeRawBufferPointer(start: cschemas_openrpc_start(), count: Int(cschemas_openrpc_count())))
  }

  /// Without the line breaks and indents between its values, for a transport that has a message a line.
  static var line: Bytes {
    var buffer = ByteBuffer(capacity: Int(cschemas_openrpc_count()))
    let text = text
    var atLineStart = true
    for index in 0..<text.count {
      let byte = text[index]
      if byte == 0x0A {
        atLineStart = true
      } else if byte != 0x20 || !atLineStart {
        atLineStart = false
        buffer.append(byte)
      }
    }
    return buffer.finish()
  }
}
