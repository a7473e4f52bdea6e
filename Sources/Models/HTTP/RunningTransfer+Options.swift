import CCurl
import JSON

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

extension CurlEasy {
  /// A handle with everything said that holds for all requests, so that it can be made before there is one.
  ///
  /// Says everything that matters explicitly, also where it is libcurl's default. The options: https://curl.se/libcurl/c/curl_easy_setopt.html
  static func prepared(_ network: NetworkSettings) throws(HTTPFailure) -> CurlEasy {
    let easy = try CurlEasy()
    try easy.allowHTTPOnly()
    // A redirect would carry the key elsewhere.
    try easy.set(CURLOPT_FOLLOWLOCATION, 0)
    try easy.set(CURLOPT_NOSIGNAL, 1)
    // Or else the whole loop waits with a transfer that ends then, as long as the system's resolver takes.
    easy.leaveLookups()
    easy.prefer(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_2TLS))
    easy.prefer(CURLOPT_TCP_NODELAY, 1)
    // A model may think for minutes, and routers forget connections on which nothing moves.
    easy.prefer(CURLOPT_TCP_KEEPALIVE, 1)
    easy.prefer(CURLOPT_TCP_KEEPIDLE, 60)
    easy.prefer(CURLOPT_TCP_KEEPINTVL, 30)
    // Since 7.65.
    easy.prefer(CURLOPT_MAXAGE_CONN, network.idleSeconds)
    try easy.setTrust(network)
    try unsafe easy.set(CURLOPT_HEADERFUNCTION) { line, size, count, context in
      let line = unsafe UnsafeRawBufferPointer(start: line, count: size * count)
      return unsafe RunningTransfer.from(context).takeHeadLine(line) ? size * count : 0
    }
    try unsafe easy.set(CURLOPT_WRITEFUNCTION) { piece, size, count, context in
      let piece = unsafe UnsafeRawBufferPointer(start: piece, count: size * count)
      // An empty piece is taken with 0, as any other count would end the transfer.
      return unsafe RunningTransfer.from(context).takeBody(piece) ? size * count : 0
    }
    return easy
  }

  private func setTrust(_ network: NetworkSettings) throws(HTTPFailure) {
    // The proxy's answer to CONNECT is not the server's.
    try set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
    try set(CURLOPT_SSL_VERIFYPEER, 1)
    try set(CURLOPT_SSL_VERIFYHOST, 2)
    prefer(CURLOPT_PROXY_SSL_VERIFYPEER, 1)
    prefer(CURLOPT_PROXY_SSL_VERIFYHOST, 2)
    if network.certificateFile == nil, network.certificateFolder == nil {
      // Debian's file and folder hold the same. With a folder, libcurl 7.88 reads all of the file for each new connection: 28 ms instead of 1.
      leaveCertificateFolder()
    }
    if let file = network.certificateFile {
      try set(CURLOPT_CAINFO, file)
      prefer(CURLOPT_PROXY_CAINFO, file)
    }
    if let folder = network.certificateFolder {
      try set(CURLOPT_CAPATH, folder)
      prefer(CURLOPT_PROXY_CAPATH, folder)
    }
  }
}

extension RunningTransfer {
  /// Bodies up to this size are given to libcurl in one piece, and then it sends them together with the head (MAX_INITIAL_POST_SIZE in its lib/http.c).
  static let wholeBodyBytes = (64 << 10) - 1

  /// Says what holds for this request.
  func setOptions(_ network: NetworkSettings) throws(HTTPFailure) {
    try easy.setPlace(request.url, network)
    try easy.set(CURLOPT_CONNECTTIMEOUT_MS, max(1, request.deadlines.connectMilliseconds))
    try easy.setMessage(request) { () throws(HTTPFailure) in try lines() }
    if case .post = request.method {
      try easy.setSize(CURLOPT_POSTFIELDSIZE_LARGE, request.body.count)
      if request.body.count <= Self.wholeBodyBytes { try giveWholeBody() } else { try streamBody() }
    }
    let context = unsafe Unmanaged.passUnretained(self).toOpaque()
    for option in CurlEasy.contexts { try unsafe easy.set(option, pointer: context) }
  }

  private func lines() throws(HTTPFailure) -> [String] {
    // Otherwise a large body would wait for leave to be sent.
    var lines = ["Expect:"]
    for header in request.headers { lines.append(try Self.line(header.name, header.value)) }
    // libcurl's own would be that of a form.
    if case .post = request.method, !request.headers.contains(where: { $0.name.lowercased() == "content-type" }) {
      lines.append("Content-Type:")
    }
    return lines
  }

  private func giveWholeBody() throws(HTTPFailure) {
    let bytes = request.body.parts.joined
    wholeBody = bytes
    try unsafe bytes.withUnsafeBytes { (raw) throws(HTTPFailure) in try unsafe easy.setBody(raw) }
  }

  private func streamBody() throws(HTTPFailure) {
    // Fewer and larger writes; 64 KiB is the default.
    easy.prefer(CURLOPT_UPLOAD_BUFFERSIZE, 512 << 10)
    try unsafe easy.set(CURLOPT_READFUNCTION) { room, size, count, context in
      guard let room = unsafe room else { return 0 }
      return unsafe RunningTransfer.from(context).giveBody(UnsafeMutableRawBufferPointer(start: room, count: size * count))
    }
    try unsafe easy.setSeek { context, place, origin in
      guard origin == SEEK_SET, unsafe RunningTransfer.from(context).rewindBody(to: Int(place)) else { return CURL_SEEKFUNC_FAIL }
      return CURL_SEEKFUNC_OK
    }
  }

  /// A header as libcurl wants it: https://curl.se/libcurl/c/CURLOPT_HTTPHEADER.html
  private static func line(_ name: String, _ value: String) throws(HTTPFailure) -> String {
    let isName = !name.isEmpty && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x3A && $0 != 0x3B }
    guard isName else { throw HTTPFailure(.other, "A header of the request has an invalid name.") }
    // A line break would begin another header. Keys read from files have them at their end.
    guard value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
      throw HTTPFailure(.other, "The value of the request's header '\(name)' has a line break or another control character in it.")
    }
    return value.utf8.allSatisfy { $0 == 0x20 || $0 == 0x09 } ? "\(name);" : "\(name): \(value)"
  }
}
