import CCurl

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The one owner of libcurl's handle for a transfer, and of what it points to. A transfer after another may have the same, and saves what it says again.
@safe final class CurlEasy {
  let handle: UnsafeMutableRawPointer
  private let errorText: UnsafeMutablePointer<CChar>
  private var headers: UnsafeMutablePointer<curl_slist>?
  /// What was said of the request: where it goes, through which proxy (empty: none), and its method and headers.
  private(set) var url: String?
  private(set) var proxy = ""
  private var message: (method: HTTPRequest.Method, headers: [(name: String, value: String)])?

  init() throws(HTTPFailure) {
    guard let handle = unsafe ccurl_easy_init() else { throw HTTPFailure(.other, "There is no memory for a request.") }
    unsafe self.handle = unsafe handle
    unsafe errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
    unsafe errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    _ = unsafe ccurl_easy_set_pointer(handle, CURLOPT_ERRORBUFFER, errorText)
  }

  /// The handle must not be in a multi handle.
  deinit {
    unsafe ccurl_easy_cleanup(handle)
    unsafe ccurl_slist_free_all(headers)
    unsafe errorText.deallocate()
  }

  // MARK: Options. One that libcurl refuses ends the request, unless it is only asked for (`prefer`).

  func set(_ option: CURLoption, _ value: Int) throws(HTTPFailure) {
    try check(unsafe ccurl_easy_set_long(handle, option, value))
  }

  func set(_ option: CURLoption, _ text: String) throws(HTTPFailure) {
    // libcurl would stop at the zero, and use another URL or proxy than was meant.
    guard !text.utf8.contains(0) else { throw HTTPFailure(.other, "The URL or a setting of the network has a zero byte in it.") }
    try check(unsafe text.withCString { unsafe ccurl_easy_set_bytes(handle, option, $0) })
  }

  func set(_ option: CURLoption, pointer: UnsafeMutableRawPointer) throws(HTTPFailure) {
    try check(unsafe ccurl_easy_set_pointer(handle, option, pointer))
  }

  func set(_ option: CURLoption, _ callback: ccurl_bytes_callback) throws(HTTPFailure) {
    try check(unsafe ccurl_easy_set_bytes_callback(handle, option, callback))
  }

  func setSeek(_ callback: ccurl_seek_callback) throws(HTTPFailure) {
    try check(unsafe ccurl_easy_set_seek_callback(handle, callback))
  }

  func setSize(_ option: CURLoption, _ count: Int) throws(HTTPFailure) {
    try check(unsafe ccurl_easy_set_offset(handle, option, curl_off_t(count)))
  }

  /// The body, not copied: its bytes must stay as long as the handle. Their count must be set before.
  func setBody(_ bytes: UnsafeRawBufferPointer) throws(HTTPFailure) {
    // Without a pointer libcurl would ask for the body.
    let nothing: StaticString = ""
    let start = unsafe UnsafeRawPointer(bytes.baseAddress ?? UnsafeRawPointer(nothing.utf8Start)).assumingMemoryBound(to: CChar.self)
    try check(unsafe ccurl_easy_set_bytes(handle, CURLOPT_POSTFIELDS, start))
  }

  func allowHTTPOnly() throws(HTTPFailure) { try check(unsafe ccurl_easy_allow_http_only(handle)) }
  func leaveLookups() { unsafe ccurl_easy_leave_lookups(handle) }
  func leaveCertificateFolder() { unsafe ccurl_easy_leave_certificate_folder(handle) }

  /// For what an older or smaller libcurl may lack, and can do without.
  func prefer(_ option: CURLoption, _ value: Int) { _ = unsafe ccurl_easy_set_long(handle, option, value) }
  func prefer(_ option: CURLoption, _ text: String) { _ = unsafe text.withCString { unsafe ccurl_easy_set_bytes(handle, option, $0) } }

  private func setHeaders(_ lines: [String]) throws(HTTPFailure) {
    var list: UnsafeMutablePointer<curl_slist>?
    for line in lines {
      guard let longer = unsafe line.withCString({ unsafe ccurl_slist_append(list, $0) }) else {
        unsafe ccurl_slist_free_all(list)
        throw HTTPFailure(.other, "There is no memory for a request.")
      }
      unsafe list = unsafe longer
    }
    let old = unsafe headers
    defer { unsafe ccurl_slist_free_all(old) }
    unsafe headers = unsafe list
    try check(unsafe ccurl_easy_set_list(handle, CURLOPT_HTTPHEADER, headers))
  }

  // MARK: The request

  func setPlace(_ url: String, _ network: NetworkSettings) throws(HTTPFailure) {
    if let known = self.url, Self.isSame(known, url) { return }
    proxy = network.proxy(for: url)
    try set(CURLOPT_URL, url)
    // Empty means none; unset, libcurl would look into the environment.
    try set(CURLOPT_PROXY, proxy)
    try set(CURLOPT_NOPROXY, network.noProxy)
    self.url = url
  }

  /// - Parameter lines: The headers as libcurl wants them.
  func setMessage(_ request: HTTPRequest, lines: () throws(HTTPFailure) -> [String]) throws(HTTPFailure) {
    if let message, message.method == request.method,
      message.headers.elementsEqual(request.headers, by: { Self.isSame($0.name, $1.name) && Self.isSame($0.value, $1.value) })
    {
      return
    }
    switch request.method {
    case .get: try set(CURLOPT_HTTPGET, 1)
    case .post: try set(CURLOPT_POST, 1)
    }
    try setHeaders(try lines())
    message = (request.method, request.headers)
  }

  /// To the byte: Swift holds some strings equal that are written differently.
  private static func isSame(_ a: String, _ b: String) -> Bool {
    guard a.utf8.count == b.utf8.count else { return false }
    var (a, b) = (a, b)
    return a.withUTF8 { a in b.withUTF8 { b in unsafe a.isEmpty || memcmp(a.baseAddress!, b.baseAddress!, a.count) == 0 } }
  }

  /// What belongs to one transfer, and is told to libcurl's callbacks.
  static let contexts = [CURLOPT_PRIVATE, CURLOPT_HEADERDATA, CURLOPT_WRITEDATA, CURLOPT_READDATA, CURLOPT_SEEKDATA]

  /// Lets go of the transfer it was used for, which went well, so that it can be used for another.
  func forgetTransfer() {
    // To take the body away makes it a POST.
    if message?.method == .get { message = nil }
    unsafe errorText[0] = 0
    _ = unsafe ccurl_easy_set_bytes(handle, CURLOPT_POSTFIELDS, nil)
    for option in Self.contexts { _ = unsafe ccurl_easy_set_pointer(handle, option, nil) }
  }

  private func check(_ code: CURLcode) throws(HTTPFailure) {
    if code != CURLE_OK { throw HTTPFailure(.other, "libcurl cannot make this request: \(Self.text(code)).") }
  }

  // MARK: What came of it

  func number(_ info: CURLINFO) -> Int {
    var value = 0
    _ = unsafe ccurl_easy_get_long(handle, info, &value)
    return value
  }

  /// libcurl's own words for what happened. They may quote settings and what the server sent, so not all of them are fit to be shown.
  var detail: String { unsafe String(cString: errorText) }

  /// libcurl's fixed words for a code.
  static func text(_ code: CURLcode) -> String { unsafe String(cString: ccurl_easy_strerror(code)) }
}
