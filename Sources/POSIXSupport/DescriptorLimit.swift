import CPOSIX

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// How many descriptors this process may have open at once.
package enum DescriptorLimit {
  /// Raises it as far as the system lets it; to be called before there is another thread.
  ///
  /// The usual 1024 is what `select` can take, which nothing here uses. A process it spawns begins with what it was before, since some programs do,
  /// or close each descriptor up to it.
  package static func raise() { cposix_raise_descriptor_limit() }

  package static var current: Int { Int(clamping: cposix_descriptor_limit()) }

  /// Why no descriptor can be had at the moment; nil when one can.
  package static var shortage: SystemError? {
    do throws(SystemError) {
      _ = try FileDescriptor.open("/", O_RDONLY)
      return nil
    } catch { return error.errno == EMFILE || error.errno == ENFILE ? error : nil }
  }
}
