#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The pipes on which a process was given its protocol, out of reach of everything else in the process.
///
/// A library that prints, or a child that inherits, finds /dev/null at 0 and standard error at 1. The open files are shared with whoever spawned this
/// process, so their flags are never changed (`O_NONBLOCK` on an inherited pipe would change it under the other side's hands).
@frozen package struct ProtocolDescriptors: ~Copyable, Sendable {
  package let input: FileDescriptor
  package let output: FileDescriptor

  /// To be called once, before anything is opened or spawned.
  package static func claim() throws(SystemError) -> ProtocolDescriptors {
    try claim(standardInput: 0, standardOutput: 1, standardError: 2)
  }

  /// The same with other numbers, for tests.
  package static func claim(
    standardInput: Int32, standardOutput: Int32, standardError: Int32
  ) throws(SystemError) -> ProtocolDescriptors {
    // The number of a standard descriptor that is closed would be given to the next file opened, so each is filled first. Standard output with
    // what cannot be written to: nobody gets what is written there, and to take it all the same would pass that off as done.
    for standard in [standardInput, standardOutput, standardError] where fcntl(standard, F_GETFD) < 0 {
      let null = try FileDescriptor.open("/dev/null", standard == standardOutput ? O_RDONLY : O_RDWR).release()
      if null == standard {
        _ = fcntl(standard, F_SETFD, 0)
      } else {
        dup2(null, standard)
        close(null)
      }
    }
    let input = try FileDescriptor.duplicate(standardInput)
    let output = try FileDescriptor.duplicate(standardOutput)
    let null = try FileDescriptor.open("/dev/null", O_RDONLY)
    guard dup2(null.rawValue, standardInput) >= 0, dup2(standardError, standardOutput) >= 0 else { throw .last("dup2") }
    return ProtocolDescriptors(input: input, output: output)
  }

  private init(input: consuming FileDescriptor, output: consuming FileDescriptor) {
    self.input = input
    self.output = output
  }
}
