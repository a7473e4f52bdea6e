import AgentRuntime
import JSON

/// What a message or a tool result shows to a model: text, and the media that its provider takes as such.
///
/// Text says the same as `ModelText` does; it stays escaped, in the bytes it came in.
struct ShownContent {
  enum Block {
    /// Pieces of the inside of one JSON string, in order.
    case text([RequestPiece])
    case media(Media)
  }

  private(set) var blocks: [Block] = []

  /// Bytes of text that were left out, because what stands before them is as much as will be shown.
  private var leftOutBytes = 0

  mutating func add(text inside: Bytes) { blocks.append(.text([.plain(inside)])) }

  mutating func add(text insides: [Bytes]) { blocks.append(.text([RequestPiece](insides))) }

  mutating func add(text piece: RequestPiece, leavingOut bytes: Int = 0) {
    blocks.append(.text([piece]))
    leftOutBytes += bytes
  }

  mutating func add(_ media: Media) { blocks.append(.media(media)) }

  /// All its text, a line for each block.
  var text: [RequestPiece] {
    if blocks.count == 1, case .text(let only) = blocks[0] { return only }
    var all: [RequestPiece] = []
    var isFirst = true
    for case .text(let insides) in blocks {
      if !isFirst { all.append(Self.newline) }
      isFirst = false
      all += insides
    }
    return all
  }

  var media: [Media] {
    blocks.compactMap { block in
      if case .media(let media) = block { media } else { nil }
    }
  }

  /// Without blocks of text that say nothing, which some providers refuse.
  var withoutBlankText: ShownContent {
    var content = self
    content.blocks.removeAll { block in
      if case .text(let insides) = block { insides.allSatisfy(\.isBlank) } else { false }
    }
    return content
  }

  /// Keeps the first `maxBytes` of the text, and says so. Media stay.
  mutating func cut(to maxBytes: Int) {
    // Escaped text is never shorter than what it says.
    guard leftOutBytes > 0 || text.byteCount > maxBytes else { return }
    let all = text.reduce(leftOutBytes) { $0 + $1.decodedCount }
    guard all > maxBytes else { return }
    let note = RequestPiece.plain(Bytes("\\n[cut: the first \(maxBytes) of \(all) bytes]"))
    var left = maxBytes
    var isCut = false
    /// Where the last text stands among what is kept.
    var last: Int?
    var kept: [Block] = []
    for block in blocks {
      guard case .text(let insides) = block else {
        kept.append(block)
        continue
      }
      if isCut { continue }
      // The line's end between two texts counts.
      if let last, left == 0, case .text(let before) = kept[last] {
        kept[last] = .text(before + [note])
        isCut = true
        continue
      }
      if last != nil { left -= 1 }
      last = kept.count
      kept.append(.text(Self.beginning(of: insides, &left, &isCut) + (isCut ? [note] : [])))
    }
    blocks = kept
  }

  /// As much as `left` bytes allow.
  private static func beginning(of insides: [RequestPiece], _ left: inout Int, _ isCut: inout Bool) -> [RequestPiece] {
    var kept: [RequestPiece] = []
    for inside in insides where !isCut {
      let (piece, decoded) = inside.beginning(decodedLimit: left)
      kept.append(piece)
      left -= decoded
      isCut = piece.count < inside.count
    }
    return kept
  }

  private static let newline = RequestPiece.plain(Bytes("\\n"))
}

/// A file that a provider takes as such.
struct Media {
  /// `plainText` is a document whose `data` is its text; the others are in base64.
  enum Kind { case image, audio, pdf, plainText }

  var kind: Kind
  /// Insides of JSON strings.
  var mimeType: Bytes
  var data: Bytes
  var name: Bytes?

  /// `data:image/png;base64,...`
  var dataURL: [Bytes] { [Bytes("data:"), mimeType, Bytes(";base64,"), data] }
}
