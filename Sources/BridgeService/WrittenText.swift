/// How much room text takes in a line.
extension String {
  /// The longest beginning that takes at most `most` bytes in JSON, without the quotes.
  func prefix(writtenBytes most: Int) -> String {
    var count = 0
    for index in unicodeScalars.indices {
      count += unicodeScalars[index].writtenBytes
      if count > most { return String(unicodeScalars[..<index]) }
    }
    return self
  }

  /// The longest end that takes at most `most` bytes in JSON, without the quotes.
  func suffix(writtenBytes most: Int) -> String {
    var count = 0
    for index in unicodeScalars.indices.reversed() {
      count += unicodeScalars[index].writtenBytes
      if count > most { return String(unicodeScalars[unicodeScalars.index(after: index)...]) }
    }
    return self
  }
}

extension String {
  /// The text with something in its middle left out where it takes more than `most` bytes.
  func shortened(writtenBytes most: Int) -> String {
    if prefix(writtenBytes: most).utf8.count == utf8.count { return self }
    return "\(prefix(writtenBytes: most / 2 - 2)) … \(suffix(writtenBytes: most / 2 - 3))"
  }
}

extension Unicode.Scalar {
  fileprivate var writtenBytes: Int {
    switch value {
    case 0..<0x20, 0x7F: 6
    case 0x22, 0x5C: 2
    default: UTF8.width(self)
    }
  }
}
