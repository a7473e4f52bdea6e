import Glibc
import POSIXSupport

/// What this process has in memory.
func residentBytes() throws -> Int {
  let file = try FileDescriptor.open("/proc/self/statm", O_RDONLY)
  let fields = String(decoding: try file.readAll(), as: UTF8.self).split(separator: " ")
  return (Int(fields[1]) ?? 0) * 4096
}
