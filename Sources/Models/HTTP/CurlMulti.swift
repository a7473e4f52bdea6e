import CCurl
import POSIXSupport

/// The one owner of libcurl's multi handle, on which all transfers are made.
@safe struct CurlMulti: ~Copyable {
  private let multi: UnsafeMutableRawPointer
  /// What libcurl waits for. It holds an unowned pointer to this until the handle is gone.
  private let watch: SocketWatch

  /// Makes the library ready; nil, or what is missing.
  static let load: @Sendable () -> String? = {
    guard let trouble = unsafe ccurl_load() else { return nil }
    return unsafe String(cString: trouble)
  }

  /// Nil without memory. The library must be loaded.
  ///
  /// - Parameter kept: So many connections at most, idle ones among them, and no more than a quarter of the descriptors that there can be.
  init?(_ watch: SocketWatch, keeping kept: Int) {
    guard let multi = unsafe ccurl_multi_init() else { return nil }
    // Runs that wait for their tools keep their connections; without this, libcurl keeps four for each transfer of the moment. It counts those in
    // use too, and closes the oldest idle one when there are more. https://curl.se/libcurl/c/CURLMOPT_MAXCONNECTS.html
    _ = unsafe ccurl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, max(1, min(kept, DescriptorLimit.current / 4)))
    let context = unsafe Unmanaged.passUnretained(watch).toOpaque()
    let code = unsafe ccurl_multi_set_callbacks(
      multi,
      { _, socket, what, context, _ in
        unsafe SocketWatch.from(context).want(socket, what)
        return 0
      },
      { _, milliseconds, context in
        unsafe SocketWatch.from(context).setTimer(milliseconds)
        return 0
      }, context)
    guard code == CURLM_OK else {
      _ = unsafe ccurl_multi_cleanup(multi)
      return nil
    }
    unsafe self.multi = unsafe multi
    self.watch = watch
  }

  /// No transfer may be left.
  deinit {
    _ = unsafe ccurl_multi_cleanup(multi)
    extendLifetime(watch)
  }

  /// False when libcurl refuses it, which only lack of memory does.
  func add(_ easy: CurlEasy) -> Bool { unsafe ccurl_multi_add_handle(multi, easy.handle) == CURLM_OK }

  /// Ends the transfer. Not to be called from a callback of libcurl.
  func remove(_ easy: CurlEasy) { _ = unsafe ccurl_multi_remove_handle(multi, easy.handle) }

  /// Ends a transfer that is not over. Over HTTP/2 the server would learn of it with the next bytes of the connection, so one that nothing else uses
  /// is closed. https://curl.se/libcurl/c/CURLOPT_FORBID_REUSE.html
  func abort(_ easy: CurlEasy) {
    easy.prefer(CURLOPT_FORBID_REUSE, 1)
    remove(easy)
  }

  // MARK: Moving bytes calls the transfers' callbacks. False when libcurl cannot go on, which only lack of memory makes it.

  func move(_ socket: SocketWatch.Ready) -> Bool { unsafe ccurl_multi_move_socket(multi, socket.descriptor, socket.events) == CURLM_OK }
  func moveDue() -> Bool { unsafe ccurl_multi_move_due(multi) == CURLM_OK }
  func moveAll() -> Bool { unsafe ccurl_multi_move_all(multi) == CURLM_OK }

  /// A transfer that is over, each once.
  func nextDone() -> (RunningTransfer, CURLcode)? {
    var code = CURLE_OK
    guard let easy = unsafe ccurl_multi_next_done(multi, &code) else { return nil }
    var context: UnsafeMutableRawPointer?
    _ = unsafe ccurl_easy_get_pointer(easy, CURLINFO_PRIVATE, &context)
    return (unsafe RunningTransfer.from(context), code)
  }
}
