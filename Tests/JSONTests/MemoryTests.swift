import JSON
import Testing

#if os(Linux)
  import Glibc

  /// Each measures a process of its own, as other tests run beside this one.
  @Suite struct `Memory` {
    private struct Item: Codable, Equatable {
      var name: String
      var count: Int?
      var real: Double?
      var inner: [Item]?
      var carried: CarriedJSON?
    }

    private static let texts = [
      #"{"name":"a\u0000b","count":1e3,"real":0.1,"inner":[{"name":"x","carried":{"a":[1,2,3]}}],"carried":[{"b":1,"b":2}],"unknown":{"n\u0000":1}}"#,
      #"{"name":"\#(String(repeating: "long", count: 200))","inner":[{"name":1}]}"#,
      #"{"name":"a","name":"b"}"#,
      #"{"name":"a","count":99999999999999999999}"#,
      #"[1,{"a":[2]}]"#,
      "[[[", "nul",
    ]

    /// What the kernel says of this process (`getrusage` would count what it was before `exec`).
    private static func memory(_ line: String) -> Int {
      guard let file = unsafe fopen("/proc/self/status", "r") else { return 0 }
      defer { unsafe fclose(file) }
      var buffer = ByteBuffer()
      while unsafe buffer.withUnsafeFreeSpace(8192, { room in unsafe fread(room.baseAddress, 1, 8192, file) }) > 0 {}
      let words = buffer.finish().string.split(whereSeparator: { $0.isWhitespace })
      guard let place = words.firstIndex(of: Substring(line)), let kilobytes = Int(words[place + 1]) else { return 0 }
      return kilobytes * 1024
    }

    /// Every way through the coding, those that end in an error too.
    private static func work() {
      for text in texts {
        do throws(JSONError) {
          let json = try CarriedJSON(validating: Bytes(text))
          _ = json.firstDuplicateMember()
          _ = json.isEquivalent(to: CarriedJSON(trusted: Bytes(text + " ")))
          let item = try JSONCoding.decode(Item.self, from: json, carrying: ["/carried"])
          _ = try JSONCoding.encode(item)
        } catch {}
      }
    }

    @Test func `is given back by every way of decoding and encoding`() async {
      await #expect(processExitsWith: .success) {
        // As often before as after: the heap grows at first, where memory is given back in another order than it was taken. Pages of the program
        // itself, which come when they are first used, are not counted.
        for _ in 0..<20_000 { Self.work() }
        let before = Self.memory("RssAnon:")
        for _ in 0..<20_000 { Self.work() }
        let grown = Self.memory("RssAnon:") - before
        // The smallest block lost in each turn would be more.
        precondition(grown < 400_000, "\(grown) bytes are lost")
      }
    }

    @Test(arguments: ["x", "line\\n", "é"])
    func `of a decoded result of 50 MB is at most the text and the string`(unit: String) async {
      await #expect(processExitsWith: .success) { [unit] in
        struct Result: Decodable { var content: String }
        let payload = 50_000_000
        let start = Self.memory("VmHWM:")
        var buffer = ByteBuffer()
        buffer.append("{\"content\":\"" as StaticString)
        let piece = Bytes(String(repeating: unit, count: 1000))
        while buffer.count < payload { buffer.append(piece) }
        buffer.append("\"}" as StaticString)
        do throws(JSONError) {
          let json = try CarriedJSON(validating: buffer.finish())
          let result = try JSONCoding.decode(Result.self, from: json)
          precondition(result.content.utf8.count > payload / 2)
        } catch { preconditionFailure("\(error)") }
        let used = Self.memory("VmHWM:") - start
        precondition(used < payload * 21 / 10, "\(used) bytes for \(payload)")
      }
    }
  }
#endif
