import Synchronization

/// What a scan has found of large values, so that those who read them later need not look for their ends again.
///
/// Bytes never change, so what was true of them once stays true.
final class LargeValues: Sendable {
  /// From so many bytes on, remembering costs less than scanning.
  static let least = 64 << 10

  /// Where JSON values are known to begin and end.
  let known = Mutex<[Range<Int>]>([])
}

extension Bytes {
  /// Remembers that valid JSON values stand at these places.
  func remember(values ranges: [Range<Int>]) {
    if ranges.isEmpty { return }
    storage.places?.known.withLock { known in known += ranges.map { start + $0.lowerBound..<start + $0.upperBound } }
  }

  /// Where the value that begins there ends, if a scan has remembered it. Meant for bytes that are valid.
  func rememberedEnd(ofValueAt place: Int) -> Int? {
    guard count - place >= LargeValues.least, let places = storage.places else { return nil }
    let found = places.known.withLock { known in known.first { $0.lowerBound == start + place } }
    guard let found, found.upperBound <= start + count else { return nil }
    return found.upperBound - start
  }
}
