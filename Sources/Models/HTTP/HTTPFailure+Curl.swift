import CCurl
import POSIXSupport

extension HTTPFailure {
  static func timedOut(_ deadline: Deadline, host: Substring, _ deadlines: HTTPDeadlines) -> HTTPFailure {
    switch deadline {
    case .connect: HTTPFailure(.timedOut(.connect), "No connection to \(host) in \(deadlines.connectMilliseconds) ms.")
    case .firstByte: HTTPFailure(.timedOut(.firstByte), "\(host) did not begin to answer in \(deadlines.firstByteMilliseconds) ms.")
    case .stall: HTTPFailure(.timedOut(.stall), "\(host) stopped in the middle of its answer for \(deadlines.stallMilliseconds) ms.")
    }
  }

  /// What libcurl's code means for the one who asked. https://curl.se/libcurl/c/libcurl-errors.html
  static func of(_ code: CURLcode, _ transfer: RunningTransfer) -> HTTPFailure {
    let host = transfer.request.host
    if let shortage = shortage(code) {
      return HTTPFailure(.couldNotConnect, "Cannot connect to \(place(transfer)): \(shortage.text).")
    }
    switch code {
    case CURLE_OPERATION_TIMEDOUT:
      // The only time that libcurl itself is told to keep.
      return timedOut(.connect, host: host, transfer.request.deadlines)
    case CURLE_COULDNT_RESOLVE_HOST:
      return HTTPFailure(.couldNotConnect, "The name of \(host) cannot be resolved.")
    case CURLE_COULDNT_RESOLVE_PROXY:
      return HTTPFailure(.couldNotConnect, "The name of the proxy for \(host) cannot be resolved.")
    case CURLE_COULDNT_CONNECT:
      return HTTPFailure(.couldNotConnect, "Cannot connect to \(place(transfer))\(systemText(transfer)).")
    case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_INVALIDCERTSTATUS,
      CURLE_SSL_ISSUER_ERROR, CURLE_SSL_CRL_BADFILE, CURLE_SSL_CIPHER, CURLE_SSL_ENGINE_INITFAILED, CURLE_SSL_PINNEDPUBKEYNOTMATCH:
      return HTTPFailure(.tls, "The certificate of \(place(transfer)) cannot be trusted: \(detail(code, transfer))")
    case CURLE_SSL_CONNECT_ERROR:
      return HTTPFailure(.couldNotConnect, "The TLS handshake with \(place(transfer)) failed: \(detail(code, transfer))")
    case CURLE_GOT_NOTHING, CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_PARTIAL_FILE, CURLE_HTTP2, CURLE_HTTP2_STREAM, CURLE_SEND_FAIL_REWIND:
      return lost(transfer)
    case CURLE_UNSUPPORTED_PROTOCOL, CURLE_WEIRD_SERVER_REPLY:
      return notHTTP(transfer)
    case CURLE_URL_MALFORMAT:
      return HTTPFailure(.other, "That is not an http or https URL.")
    default:
      return HTTPFailure(.other, "The request to \(host) failed: \(CurlEasy.text(code)).")
    }
  }

  /// libcurl does not tell that it found no descriptor for a socket, for the lookup of a name, or for the file of certificates. Its own are free again.
  private static func shortage(_ code: CURLcode) -> SystemError? {
    switch code {
    case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_CONNECT, CURLE_SSL_CACERT_BADFILE:
      DescriptorLimit.shortage
    default: nil
    }
  }

  private static func lost(_ transfer: RunningTransfer) -> HTTPFailure {
    let host = transfer.request.host
    let proxyStatus = transfer.easy.number(CURLINFO_HTTP_CONNECTCODE)
    if proxyStatus >= 300, !transfer.hasHead {
      return HTTPFailure(.proxyRefused(status: proxyStatus), "The proxy refused to connect to \(host), with status \(proxyStatus).")
    }
    return HTTPFailure(
      .connectionLost,
      transfer.hasHead ? "\(host) broke off in the middle of its answer." : "\(host) closed the connection without an answer.")
  }

  private static func notHTTP(_ transfer: RunningTransfer) -> HTTPFailure {
    let scheme = transfer.request.url.prefix(8).lowercased()
    guard scheme.hasPrefix("http://") || scheme.hasPrefix("https://") else {
      return HTTPFailure(.other, "That is not an http or https URL.")
    }
    return HTTPFailure(.connectionLost, "What \(transfer.request.host) answered is not HTTP.")
  }

  private static func place(_ transfer: RunningTransfer) -> String {
    transfer.isProxied ? "\(transfer.request.host) or its proxy" : String(transfer.request.host)
  }

  private static func systemText(_ transfer: RunningTransfer) -> String {
    let number = transfer.easy.number(CURLINFO_OS_ERRNO)
    return number == 0 ? "" : ": \(SystemError(call: "connect", errno: Int32(clamping: number)).text)"
  }

  /// The TLS library's words, which name hosts, certificates and versions.
  private static func detail(_ code: CURLcode, _ transfer: RunningTransfer) -> String {
    let detail = transfer.easy.detail
    return (detail.isEmpty ? CurlEasy.text(code) : detail) + "."
  }
}
