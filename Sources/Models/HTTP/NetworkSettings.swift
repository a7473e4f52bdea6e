/// The way to the servers, as the environment says.
///
/// Only the executable reads the environment, so libcurl is told all of this and never left to look itself.
struct NetworkSettings: Sendable, Equatable {
  /// The proxy for each scheme; empty for none. May hold credentials.
  var httpProxy = ""
  var httpsProxy = ""
  /// The hosts to be reached directly, as libcurl reads them: https://curl.se/libcurl/c/CURLOPT_NOPROXY.html
  var noProxy = ""
  /// Replace the system's certificates, as OpenSSL and the tool curl have it.
  var certificateFile: String?
  var certificateFolder: String?

  /// For so long an idle connection is kept for the next request, as libcurl does unless told otherwise.
  var idleSeconds = 118
  /// With more connections than that none becomes idle.
  var keptConnections = 256

  init<Failure: Error>(environment: (String) throws(Failure) -> String?) throws(Failure) {
    func first(_ names: String...) throws(Failure) -> String? {
      for name in names { if let value = try environment(name), !value.isEmpty { return value } }
      return nil
    }
    let any = try first("all_proxy", "ALL_PROXY") ?? ""
    // HTTP_PROXY is what a web server makes of a header named Proxy: https://httpoxy.org
    httpProxy = try first("http_proxy") ?? any
    httpsProxy = try first("https_proxy", "HTTPS_PROXY") ?? any
    noProxy = try first("no_proxy", "NO_PROXY") ?? ""
    certificateFile = try first("SSL_CERT_FILE")
    certificateFolder = try first("SSL_CERT_DIR")
  }

  func proxy(for url: String) -> String {
    url.prefix(8).lowercased() == "https://" ? httpsProxy : httpProxy
  }
}
