import CPOSIX

package enum CoreDumps {
  /// From now on no core is dumped of this process; a process it spawns begins without a core limit of its own.
  package static func forbid() { _ = cposix_forbid_core_dumps() }
}
