import CPOSIX

/// Which file a path names.
package struct FileIdentity: Sendable, Equatable {
  package let path: String
  private let device: UInt64
  private let number: UInt64

  /// nil when there is none. To look again and again costs those nothing who write to the file and sync it.
  package init?(of path: String) {
    var (device, number): (UInt64, UInt64) = (0, 0)
    guard unsafe cposix_file_identity(path, &device, &number) == 0 else { return nil }
    self.path = path
    self.device = device
    self.number = number
  }

  /// Whatever the paths.
  package func isSameFile(as other: FileIdentity) -> Bool { device == other.device && number == other.number }
}
