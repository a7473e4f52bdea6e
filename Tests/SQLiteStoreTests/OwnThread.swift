import POSIXSupport
import TestSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Runs `body` on a thread of its own and waits for it: what Linux keeps for each thread (a umask, the user that files are opened as, the mounts) may
/// be changed there while other tests run beside it.
func onOwnThread<R: Sendable>(_ body: @escaping @Sendable () throws -> R) throws -> R {
  let work = Monitor<(@Sendable () throws -> R)?>(body)
  let answer = Monitor<Result<R, any Error>?>(nil)
  try Thread.start(name: "test") {
    let result = run(work)
    answer.update { $0 = result }
  }
  return try answer.wait(for: "the end of the thread") { $0 }.get()
}

/// Lets go of the work before it returns: a folder of the test must not be removed by a thread that sees other files, or may not.
private func run<R: Sendable>(_ work: Monitor<(@Sendable () throws -> R)?>) -> Result<R, any Error> {
  let body = work.withLock { $0.take()! }
  return Result { try body() }
}

/// What Glibc's module hides, found by name.
enum PerThread {
  private typealias OneInt = @convention(c) (Int32) -> Int32
  private typealias OneUser = @convention(c) (UInt32) -> Int32
  private typealias Mount =
    @convention(c) (UnsafePointer<CChar>, UnsafePointer<CChar>, UnsafePointer<CChar>, UInt, UnsafePointer<CChar>?) -> Int32

  private static func function<F>(_ name: String, _ type: F.Type) -> F? {
    guard let found = unsafe dlsym(dlopen(nil, RTLD_NOW), name) else { return nil }
    return unsafe unsafeBitCast(found, to: type)
  }

  private static let cloneFiles: Int32 = 0x200
  private static let cloneMounts: Int32 = 0x20000

  /// Gives this thread a umask of its own.
  static func setUmask(_ mask: UInt32) -> Bool {
    guard function("unshare", OneInt.self)?(cloneFiles) == 0 else { return false }
    _ = umask(mode_t(mask))
    return true
  }

  /// Opens files as somebody without rights from now on, when this is the superuser, who has all rights.
  static func dropRights() {
    if geteuid() == 0 { _ = function("setfsuid", OneUser.self)?(65534) }
  }

  /// Lets this thread see a small file system of its own at `path`.
  static func mountSmallDisk(at path: String, size: String) -> Bool {
    guard function("unshare", OneInt.self)?(cloneFiles | cloneMounts) == 0, let mount = unsafe function("mount", Mount.self) else {
      return false
    }
    let isPrivate = UInt(1 << 18 | 1 << 14)
    return unsafe mount("none", "/", "", isPrivate, nil) == 0 && mount("none", path, "tmpfs", 0, "size=" + size) == 0
  }

  static func makeReadOnly(_ path: String) -> Bool {
    let remountReadOnly = UInt(1 << 5 | 1)
    return unsafe function("mount", Mount.self)?("none", path, "", remountReadOnly, nil) == 0
  }

  /// Whether this machine lets a test mount: the superuser's right, and not in every container.
  static let canMount: Bool = {
    guard let folder = try? Folder() else { return false }
    return withExtendedLifetime(folder) { (try? onOwnThread { mountSmallDisk(at: folder.path, size: "64k") }) ?? false }
  }()

  static let hasOwnUmask: Bool = (try? onOwnThread { setUmask(0o77) }) ?? false
}
