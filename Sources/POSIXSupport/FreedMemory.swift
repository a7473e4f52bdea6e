import CPOSIX

package enum FreedMemory {
  /// From now on the process keeps what it frees, instead of giving it back and getting it anew, zeroed and page by page, for the next message.
  ///
  /// Pieces up to a megabyte, 4 MB in all for each thread that allocates. By default glibc maps each piece from 128 KiB on by itself.
  package static func keep() { cposix_keep_freed_memory(1 << 20, 4 << 20) }
}
