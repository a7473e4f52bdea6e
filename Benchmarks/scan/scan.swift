import CJansson
import JSON

/// Times the validating scan of what is only carried, jansson's parser and `memcpy`, on 50 MB of each kind; a line of JSON each.
@main
enum Scan {
  static let megabytes = 50
  static let rounds = 7

  static func main() {
    for (name, text) in texts {
      let bytes = repeated(text, isRows: name == "rows")
      let carried = best { precondition((try? CarriedJSON(validating: bytes)) != nil) }
      let bytewise = best(rounds: 2) { precondition((try? CarriedJSON(validatingBytewise: bytes)) != nil) }
      let jansson = unsafe bytes.withUnsafeBytes { raw in
        best(rounds: 1) {
          var error = json_error_t()
          let tree = unsafe json_loadb(raw.baseAddress, raw.count, Int(JSON_DECODE_ANY), &error)
          unsafe json_decref(tree)
        }
      }
      let speed = { (seconds: Double) in Double(bytes.count) / seconds / 1e9 }
      print(
        "{\"kind\":\"\(name)\",\"carried\":\(speed(carried)),\"bytewise\":\(speed(bytewise)),\"jansson\":\(speed(jansson)),"
          + "\"memcpy\":\(speed(copy(bytes)))}")
    }
  }

  /// One piece of each kind, as it stands in JSON.
  static let texts = [
    ("plain ASCII", "The ledger of the second month has forty lines, and the treasurer has signed all of them. "),
    ("source code", #"    writer.member(\"callId\", call.callID.text)  // a line of source text, as tools send it\n"#),
    ("German", "Über den Wolken müsste die Freiheit größer sein; alle Ängste, alle Sorgen, sagt man, blieben darunter verborgen. "),
    ("CJK", "帳簿の二月分には四十行があり、会計係がそのすべてに署名した。残りは来月に回される。"),
    ("rows", #"{"id":12345,"month":"2026-01","region":"north","amount":1200.50,"paid":true,"note":null}"#),
  ]

  static func repeated(_ text: String, isRows: Bool) -> Bytes {
    var buffer = ByteBuffer(capacity: megabytes * 1_000_000 + 4096)
    buffer.append(isRows ? "[" : "\"" as StaticString)
    while buffer.count < megabytes * 1_000_000 {
      if isRows, buffer.count > 1 { buffer.append("," as StaticString) }
      buffer.append(text)
    }
    buffer.append(isRows ? "]" : "\"" as StaticString)
    return buffer.finish()
  }

  static func copy(_ bytes: Bytes) -> Double {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 64)
    defer { unsafe room.deallocate() }
    return best { unsafe bytes.withUnsafeBytes { unsafe room.copyMemory(from: $0) } }
  }

  /// Seconds, of the fastest of some rounds: what others do on the machine only ever makes one slower.
  static func best(rounds: Int = rounds, _ body: () -> Void) -> Double {
    let clock = ContinuousClock()
    let times = (0..<rounds).map { _ in clock.measure(body) }
    let (seconds, attoseconds) = times.min()!.components
    return Double(seconds) + Double(attoseconds) / 1e18
  }
}
