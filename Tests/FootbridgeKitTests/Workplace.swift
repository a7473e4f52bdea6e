import FootbridgeKit
import POSIXSupport
import TestSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A folder of a test's own, for scripts and stores; removed at the end.
final class Workplace: Sendable {
  private let folder: String

  init() throws {
    let parent = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
    var name = Array((parent + "/kit-XXXXXX").utf8CString)
    guard let made = unsafe name.withUnsafeMutableBufferPointer({ unsafe mkdtemp($0.baseAddress!) }) else {
      throw Missing(description: "no folder could be made in \(parent)")
    }
    folder = unsafe String(cString: made)
  }

  deinit {
    if let files = unsafe opendir(folder) {
      while let entry = unsafe readdir(files) {
        let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        _ = unsafe unlink(folder + "/" + name)
      }
      unsafe closedir(files)
    }
    _ = unsafe rmdir(folder)
  }

  var database: String { folder + "/runs.db" }

  /// The store is gone under whoever has it open.
  func removeDatabase() {
    for name in ["", "-wal"] { _ = unsafe unlink(database + name) }
  }

  /// - Parameter turns: of a model, one JSON object each.
  func agent(_ turns: String...) throws -> LocalAgent {
    var name = Array((folder + "/script-XXXXXX").utf8CString)
    let descriptor = unsafe name.withUnsafeMutableBufferPointer { unsafe mkstemp($0.baseAddress!) }
    guard descriptor >= 0 else { throw Missing(description: "no script could be made in \(folder)") }
    let text = Array(turns.joined(separator: "\n").utf8)
    let written = unsafe write(descriptor, text, text.count)
    close(descriptor)
    guard written == text.count else { throw Missing(description: "a script could not be written") }
    return LocalAgent(model: "script:" + String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
  }
}

/// A turn that calls one function.
func calling(_ name: String, _ arguments: String = "{}") -> String { #"{"toolCalls":[{"name":"\#(name)","arguments":\#(arguments)}]}"# }

/// The arguments of functions that take none.
struct Nothing: Codable, Sendable {}

/// What happens in a test, in order.
final class Notes: Sendable {
  private let all = Monitor<[String]>([])

  var seen: [String] { all.withLock { $0 } }
  func note(_ what: String) { all.update { $0.append(what) } }

  /// Waits for it on a thread that may block.
  func waitFor(_ what: String) throws { try all.wait(for: what) { $0.contains(what) ? () : nil } }
}
