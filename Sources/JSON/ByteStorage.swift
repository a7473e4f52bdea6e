import Synchronization

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The memory behind `Bytes`: written by one `ByteBuffer`, then never changed again.
///
/// Few bytes lie in the object, so that a short value is one allocation; many have memory of their own, which `realloc` can make larger by remapping.
@safe final class ByteStorage: ManagedBuffer<ByteStorage.Head, UInt8> {
  @safe struct Head {
    let base: UnsafeMutablePointer<UInt8>
    let room: Int
    let isInside: Bool
    /// Of storage that is too small for any, nil.
    let places: LargeValues?
  }

  /// Readable bytes after the capacity, so that loops may look at whole vectors past the end.
  static let padding = 64
  /// Up to this capacity bytes lie in the object.
  static let mostInside = 2048

  // Not `header`, which keeps book of who looks at it; nobody ever changes it.
  private var head: UnsafeMutablePointer<Head> { unsafe withUnsafeMutablePointerToHeader { unsafe $0 } }
  var base: UnsafeMutablePointer<UInt8> { unsafe head.pointee.base }
  /// Bytes, without the padding; `ManagedBuffer` has a capacity of its own.
  var room: Int { unsafe head.pointee.room }
  var places: LargeValues? { unsafe head.pointee.places }

  /// Room in the object, not yet written.
  static func inside(_ capacity: Int) -> ByteStorage {
    let made = ByteStorage.create(minimumCapacity: capacity + padding) { storage in
      unsafe storage.withUnsafeMutablePointerToElements { unsafe Head(base: $0, room: capacity, isInside: true, places: nil) }
    }
    return unsafe unsafeDowncast(made, to: ByteStorage.self)
  }

  /// Takes over memory that `allocate` made.
  static func owning(_ base: UnsafeMutablePointer<UInt8>, _ capacity: Int) -> ByteStorage {
    let made = ByteStorage.create(minimumCapacity: 0) { _ in
      unsafe Head(base: base, room: capacity, isInside: false, places: capacity < LargeValues.least ? nil : LargeValues())
    }
    return unsafe unsafeDowncast(made, to: ByteStorage.self)
  }

  deinit {
    if unsafe !head.pointee.isInside { unsafe free(base) }
  }

  static func allocate(_ capacity: Int) -> UnsafeMutablePointer<UInt8> {
    guard let memory = unsafe malloc(capacity + padding) else { fatalError("out of memory: \(capacity) bytes") }
    return unsafe memory.bindMemory(to: UInt8.self, capacity: capacity + padding)
  }
}
