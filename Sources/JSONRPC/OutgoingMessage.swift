import JSON

/// A message to the other side, as the pieces of which its bytes consist: a large payload is referenced, not copied.
struct OutgoingMessage {
  /// Beyond this size joining the pieces costs more than it saves.
  private static let joinedBytes = 16 << 10

  /// Without framing.
  let pieces: [Bytes]
  let count: Int

  private init(_ pieces: [Bytes]) {
    self.pieces = pieces
    count = pieces.reduce(0) { $0 + $1.count }
  }

  /// An answer; `id` is nil when the question had none that could be read.
  static func response(_ id: RequestID?, _ outcome: Result<CarriedJSON, RPCError>) -> OutgoingMessage {
    var head = ByteBuffer(capacity: 192)
    head.append("{\"jsonrpc\":\"2.0\",\"id\":")
    head.append((id?.json ?? .null).bytes)
    switch outcome {
    case .success(let result):
      head.append(",\"result\":")
      return around(result, head: &head)
    case .failure(let error):
      head.append(",\"error\":")
      return around(error.json, head: &head)
    }
  }

  static func request(_ id: RequestID, _ method: StaticString, _ params: CarriedJSON) -> OutgoingMessage {
    var head = ByteBuffer(capacity: 192)
    head.append("{\"jsonrpc\":\"2.0\",\"id\":")
    head.append(id.json.bytes)
    head.append(",\"method\":\"")
    head.append(method)
    head.append("\",\"params\":")
    return around(params, head: &head)
  }

  static func notification(_ method: StaticString, _ params: CarriedJSON) -> OutgoingMessage {
    var head = ByteBuffer(capacity: 192)
    head.append("{\"jsonrpc\":\"2.0\",\"method\":\"")
    head.append(method)
    head.append("\",\"params\":")
    return around(params, head: &head)
  }

  /// The responses to a batch, as arrays that are not longer than that unless one response alone is.
  static func batches(_ responses: [OutgoingMessage], longest: Int) -> [OutgoingMessage] {
    var batches: [OutgoingMessage] = []
    var start = 0
    var count = 1
    for (index, response) in responses.enumerated() {
      if index > start, response.count + 1 > longest - count {
        batches.append(batch(responses[start..<index]))
        start = index
        count = 1
      }
      count += response.count + 1
    }
    batches.append(batch(responses[start...]))
    return batches
  }

  private static func batch(_ responses: ArraySlice<OutgoingMessage>) -> OutgoingMessage {
    var pieces: [Bytes] = []
    let comma = Bytes(",")
    for response in responses {
      pieces.append(pieces.isEmpty ? Bytes("[") : comma)
      pieces += response.pieces
    }
    pieces.append(Bytes("]"))
    return OutgoingMessage(pieces)
  }

  private static func around(_ body: CarriedJSON, head: inout ByteBuffer) -> OutgoingMessage {
    // What is carried may have come with line breaks between its tokens (never within: a string has none), and a message is one line.
    let bytes = body.bytes.replacing(0x0A, 0x0D, with: 0x20)
    guard bytes.count > joinedBytes else {
      head.append(bytes)
      head.append(0x7D)
      return OutgoingMessage([head.finish()])
    }
    return OutgoingMessage([head.finish(), bytes, Bytes("}")])
  }

  /// Several messages with their framing, as chunks to be written in order.
  static func chunks(_ messages: [OutgoingMessage], _ framing: Framing) -> [Bytes] {
    var chunks: [Bytes] = []
    var small = ByteBuffer(capacity: min(joinedBytes, messages.reduce(64) { $0 + $1.count + 1 }))
    for message in messages {
      if framing == .header {
        small.append("Content-Length: ")
        small.append(decimal: message.count)
        small.append("\r\n\r\n")
      }
      for piece in message.pieces {
        if piece.count <= joinedBytes {
          small.append(piece)
        } else {
          chunks.append(small.finish())
          chunks.append(piece)
        }
      }
      if framing != .header { small.append(0x0A) }
      if small.count > joinedBytes { chunks.append(small.finish()) }
    }
    if !small.isEmpty { chunks.append(small.finish()) }
    return chunks
  }
}
