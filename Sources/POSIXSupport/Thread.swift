import CPOSIX

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A thread of the operating system, for what blocks or must keep an order; nobody joins it.
package enum Thread {
  /// Ends when `body` returns. `name` is for debuggers and cut to 15 bytes.
  package static func start(name: StaticString, stackSize: Int = 512 << 10, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
    var attributes = pthread_attr_t()
    var result = unsafe pthread_attr_init(&attributes)
    guard result == 0 else { throw SystemError(call: "pthread_attr_init", errno: result) }
    defer { unsafe pthread_attr_destroy(&attributes) }
    unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    result = unsafe pthread_attr_setstacksize(&attributes, stackSize)
    guard result == 0 else { throw SystemError(call: "pthread_attr_setstacksize", errno: result) }

    // The thread takes the reference over.
    let start = unsafe Unmanaged.passRetained(Start(name: name, body: body))
    #if canImport(Glibc)
      var thread = pthread_t()
    #else
      var thread: pthread_t?
    #endif
    result = unsafe pthread_create(
      &thread, &attributes,
      { argument in
        #if canImport(Glibc)
          let start = unsafe Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
        #else
          let start = unsafe Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
        #endif
        unsafe cposix_name_thread(UnsafeRawPointer(start.name.utf8Start).assumingMemoryBound(to: CChar.self))
        start.body()
        return nil
      }, start.toOpaque())
    guard result == 0 else {
      unsafe start.release()
      throw SystemError(call: "pthread_create", errno: result)
    }
  }

  /// Which thread this is, among all there were.
  package static var current: Identity { Identity(rawValue: UInt(cposix_thread_number())) }

  package struct Identity: Sendable, Equatable {
    let rawValue: UInt
  }

  private final class Start: Sendable {
    let name: StaticString
    let body: @Sendable () -> Void

    init(name: StaticString, body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }
  }
}
