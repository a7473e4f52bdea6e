extension String {
  /// Of a media type such as `text/html; charset=utf-8`: what stands before its parameters, in lower case.
  var mediaType: String {
    let end = utf8.firstIndex(of: UInt8(ascii: ";")) ?? utf8.endIndex
    return self[..<end].lowercased()
  }
}
