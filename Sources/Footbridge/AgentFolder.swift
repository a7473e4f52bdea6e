import AgentRuntime
import JSON
import POSIXSupport

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The folder of `--agents`: each file `NAME.json` is the agent NAME. Files are read when they are used, so that a change counts from then on.
struct AgentFolder: AgentFiles {
  let path: String
  private static let ending = ".json"
  private static let mostBytes = 64 << 20

  func agentIDs(refused: (RuntimeError) throws(RuntimeError) -> Void) throws(RuntimeError) -> [String] {
    let names: [[UInt8]]
    do throws(SystemError) { names = try FolderReading.names(in: path) } catch {
      throw .invalidParams("\(path): \(error.text)", at: "/agentId")
    }
    var ids: [String] = []
    // What begins with a point is hidden.
    for name in names where name.suffix(Self.ending.utf8.count).elementsEqual(Self.ending.utf8) && name.first != UInt8(ascii: ".") {
      // An id is text. Passed over, the file would be an agent that is missing for no reason that anybody sees.
      if let id = String(validating: name.dropLast(Self.ending.utf8.count), as: UTF8.self) {
        ids.append(id)
      } else {
        try refused(.invalidParams("\(path): the name of the file \(Self.shown(name)) is not UTF-8", at: "/agentId"))
      }
    }
    return ids.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// A name with `\xE4` in the place of each byte that is not ASCII.
  private static func shown(_ name: [UInt8]) -> String {
    name.map { byte in
      (0x20...0x7E).contains(byte)
        ? String(UnicodeScalar(byte)) : "\\x" + (byte < 0x10 ? "0" : "") + String(byte, radix: 16, uppercase: true)
    }.joined()
  }

  func file(of agentID: String) throws(RuntimeError) -> AgentFile? {
    guard !agentID.isEmpty, !agentID.hasPrefix("."), !agentID.utf8.contains(where: { $0 == 0 || $0 == UInt8(ascii: "/") }) else {
      return nil
    }
    let name = "\(path)/\(agentID)\(Self.ending)"
    do throws(SystemError) {
      let stamp = try FileReading.stamp(of: name)
      return AgentFile(
        agentID: agentID, name: name, text: Bytes(try FileReading.contents(ofRegular: name, atMost: Self.mostBytes)),
        modifiedAt: Timestamp(milliseconds: stamp.modifiedNanoseconds / 1_000_000))
    } catch {
      // Too long a name is no file's either.
      if error.errno == ENOENT || error.errno == ENAMETOOLONG { return nil }
      throw .invalidParams("\(name): \(error.text)", at: "/agentId")
    }
  }
}
