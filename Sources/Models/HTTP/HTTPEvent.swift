import JSON

/// What comes of a request, in this order: one head, any number of pieces of the body, and `finished` or `failed` as the last.
enum HTTPEvent: Sendable, Equatable {
  case head(HTTPHead)
  /// Some of the body, as soon as it is there: never empty, and cut anywhere.
  case body(Bytes)
  case finished
  case failed(HTTPFailure)
}

/// The status and the headers of an answer.
struct HTTPHead: Sendable, Equatable {
  let status: Int
  /// As they came, each with its end.
  private let lines: Bytes

  init(status: Int, lines: Bytes) {
    self.status = status
    self.lines = lines
  }

  /// The value of the first header of that name, in whatever case, without the blanks around it.
  func first(_ headerName: String) -> String? {
    let wanted = Array(headerName.utf8)
    return unsafe lines.withUnsafeBytes { text in
      var start = 0
      while start < text.count {
        let end = unsafe text[start...].firstIndex(of: 0x0A) ?? text.count
        let line = unsafe UnsafeRawBufferPointer(rebasing: text[start..<end])
        if let value = unsafe Self.value(in: line, of: wanted) { return value }
        start = end + 1
      }
      return nil
    }
  }

  /// How the body is coded, as with gzip; nil when it is as it is.
  var contentCoding: String? {
    let codings = first("content-encoding")?.split { ", \t".contains($0) }.filter { $0.lowercased() != "identity" } ?? []
    return codings.isEmpty ? nil : codings.joined(separator: ", ")
  }

  private static func value(in line: UnsafeRawBufferPointer, of name: [UInt8]) -> String? {
    guard line.count > name.count, unsafe line[name.count] == 0x3A else { return nil }
    for i in 0..<name.count where unsafe lowercase(line[i]) != lowercase(name[i]) { return nil }
    var range = (name.count + 1)..<line.count
    while let first = range.first, unsafe isBlank(line[first]) { range.removeFirst() }
    while let last = range.last, unsafe isBlank(line[last]) { range.removeLast() }
    return unsafe String(decoding: line[range], as: UTF8.self)
  }

  private static func lowercase(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }
  private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }
}
