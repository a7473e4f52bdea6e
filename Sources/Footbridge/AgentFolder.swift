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

  func agentIDs() throws(RuntimeError) -> [String] {
    let names: [String]
    do throws(SystemError) { names = try FolderReading.names(in: path) } catch {
      throw .invalidParams("\(path): \(error.text)", at: "/agentId")
    }
    // What begins with a point is hidden.
    let ids = names.filter { $0.hasSuffix(Self.ending) && !$0.hasPrefix(".") }.map { String($0.dropLast(Self.ending.utf8.count)) }
    return ids.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
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
