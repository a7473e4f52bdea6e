import CJansson
import JSON

/// Compares the scanner with jansson and with itself on whatever bytes the fuzzer comes up with.
@c(LLVMFuzzerTestOneInput)
public func fuzzScanner(_ data: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
  let input = unsafe UnsafeRawBufferPointer(start: data, count: count)
  let text = unsafe Bytes(copying: input)
  let judged = judge { () throws(JSONError) in try CarriedJSON(validating: text) }
  demand(judged == judge { () throws(JSONError) in try CarriedJSON(validatingBytewise: text) }, "the fast path differs from the slow one")

  let jansson = unsafe JanssonVerdict(input)
  switch judged {
  case .success(let json):
    demand(unsafe jansson.accepts || jansson.mayRefuse(input), "jansson refuses it")
    checkSplit(text)
    checkEquivalence(json)
    checkDecoding(json)
  case .failure(let error):
    // jansson's own limit is 2048 levels, and it takes a NUL after a number at the end for the end of the text.
    demand(unsafe !jansson.accepts || error.code == .tooDeep || input.contains(0), "jansson accepts it")
  }
  return 0
}

private func judge<T>(_ body: () throws(JSONError) -> T) -> Result<T, JSONError> {
  do throws(JSONError) { return .success(try body()) } catch { return .failure(error) }
}

private struct JanssonVerdict {
  let accepts: Bool
  private let code: json_error_code

  init(_ text: UnsafeRawBufferPointer) {
    var error = json_error_t()
    let tree = unsafe json_loadb(text.baseAddress, text.count, Int(JSON_DECODE_ANY | JSON_ALLOW_NUL), &error)
    accepts = unsafe tree != nil
    code = unsafe json_error_code(&error)
    if let tree = unsafe tree { unsafe json_decref(tree) }
  }

  /// Where jansson is not the judge: a NUL in a name, an integer beyond 64 bits or a real beyond a double, a surrogate without its other half.
  func mayRefuse(_ text: UnsafeRawBufferPointer) -> Bool {
    if code == json_error_null_byte_in_key || code == json_error_numeric_overflow { return true }
    return unsafe hasSurrogateEscape(text)
  }
}

private func hasSurrogateEscape(_ text: UnsafeRawBufferPointer) -> Bool {
  guard text.count > 4 else { return false }
  return (0..<text.count - 4).contains { i in
    unsafe text[i] == 0x5C && text[i + 1] == 0x75 && text[i + 2] | 0x20 == 0x64 && !(0x30...0x37).contains(text[i + 3])
  }
}

private func checkSplit(_ text: Bytes) {
  guard case .failure(let error) = judge({ () throws(JSONError) in try CarriedJSON.split(text) }) else { return }
  demand(error.code == .duplicateKey, "a valid text cannot be split")
}

/// A value is the same as another text of it: members in reverse, strings escaped anew.
private func checkEquivalence(_ json: CarriedJSON) {
  demand(json.isEquivalent(to: json), "a value differs from itself")
  // Names come as strings, which do not keep lone surrogates, and repeated ones must not change places.
  if unsafe json.bytes.withUnsafeBytes({ unsafe hasSurrogateEscape($0) }) || json.firstDuplicateMember() != nil { return }
  var writer = JSONWriter()
  rewrite(json, &writer)
  let other = CarriedJSON(trusted: writer.finish())
  demand(json.isEquivalent(to: other) && other.isEquivalent(to: json), "a value differs from another text of it")
  let valid = judge { () throws(JSONError) in try CarriedJSON(validating: other.bytes, limits: JSONLimits(maxDepth: 1024)) }
  demand(valid == .success(other), "the writer wrote what is not valid")
}

private func rewrite(_ json: CarriedJSON, _ writer: inout JSONWriter) {
  switch json.kind {
  case .object:
    var members: [(String, CarriedJSON)] = []
    json.forEachMember { members.append(($0.text, $1)) }
    writer.beginObject()
    for (name, value) in members.reversed() {
      writer.key(escaping: name)
      rewrite(value, &writer)
    }
    writer.endObject()
  case .array:
    writer.beginArray()
    for element in json.elements { rewrite(element, &writer) }
    writer.endArray()
  case .string: writer.string(json.stringValue ?? "")
  case .number, .bool, .null: writer.value(json)
  }
}

private func checkDecoding(_ json: CarriedJSON) {
  for paths: CarriedPaths in [.none, .everything, ["/*/a", "/b", "/*/*/*"]] {
    let checked = judge { () throws(JSONError) in try json.check(carrying: paths, limits: JSONLimits()) }
    switch judge({ () throws(JSONError) in try JSONCoding.decode(Mirrored.self, from: json, carrying: paths) }) {
    case .success:
      if case .failure = checked { fatalError("what the check refuses was decoded") }
    case .failure(let error):
      if case .failure(let expected) = checked {
        demand(error == expected, "decoding and the check name different errors")
      } else {
        // A name that only strings cannot tell from another, or one that is carried and there twice.
        demand(error.code == .duplicateKey, "a valid value was not decoded: \(error)")
      }
    }
  }
}

/// Decodes every value and compares it with its exact bytes.
private struct Mirrored: Decodable {
  init(from decoder: any Decoder) throws {
    let place = try decoder.singleValueContainer()
    let exact = try place.decode(CarriedJSON.self)
    demand(place.decodeNil() == exact.isNull, "null is not null")
    switch exact.kind {
    case .object: demand(try place.decode([String: Mirrored].self).isEmpty == (exact.firstName == nil), "an object has lost its members")
    case .array: demand(try place.decode([Mirrored].self).count == exact.elements.count, "an array has another length")
    case .string:
      let text = exact.stringValue ?? ""
      demand(try Array(place.decode(String.self).utf8) == Array(text.utf8), "a string differs")
      // A lone surrogate counts three bytes, as U+FFFD has; of a pair, two each.
      demand(exact.stringByteCount == text.utf8.count, "a string's bytes are miscounted")
    case .bool: demand(try place.decode(Bool.self) == exact.boolValue, "a truth value differs")
    case .null: break
    case .number:
      let double = exact.doubleValue.flatMap { $0.isFinite ? $0 : nil }
      demand((try? place.decode(Double.self))?.bitPattern == double?.bitPattern, "a real number differs")
      let integer = try? place.decode(Int.self)
      if let written = exact.intValue { demand(integer == written, "an integer differs") }
      if let integer, let double { demand(double == Double(integer), "an integer is not its number") }
    }
  }
}

/// Ends the run with a message, which a precondition does not print in an optimised build.
private func demand(_ isTrue: Bool, _ fault: String) {
  if !isTrue { fatalError(fault) }
}

extension CarriedJSON {
  fileprivate var firstName: String? {
    var name: String?
    forEachMember { found, _ in name = name ?? found.text }
    return name
  }
}
