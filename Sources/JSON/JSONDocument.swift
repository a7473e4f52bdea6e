import CJansson

/// A document that jansson has parsed, and what was set aside for it.
///
/// Owns the tree: it is released once, with the document.
@safe package final class JSONDocument {
  let source: CarriedJSON
  let limits: JSONLimits
  /// Where the document stands in the one that errors speak of.
  let pointer: String
  let root: UnsafeMutablePointer<json_t>
  private let asides: [JSONSkeleton.Aside]
  let hasOddNames: Bool

  /// - Throws: what a scan finds wrong, `duplicateKey` and `tooManyNodes`.
  package convenience init(parsing text: Bytes, carrying paths: CarriedPaths = .none, limits: JSONLimits = JSONLimits()) throws(JSONError) {
    try self.init(CarriedJSON(validating: text, limits: limits), carrying: paths, limits: limits)
  }

  init(_ source: CarriedJSON, carrying paths: CarriedPaths, limits: JSONLimits, at pointer: String = "") throws(JSONError) {
    var skeleton = JSONSkeleton(of: source.bytes)
    try source.visitPlaces(carrying: paths, limits: limits, at: pointer, &skeleton)
    let tree = unsafe skeleton.text().withUnsafeBytes { text in
      unsafe json_loadb(text.baseAddress, text.count, Int(JSON_REJECT_DUPLICATES | JSON_DECODE_ANY), nil)
    }
    // The text is valid and holds only what jansson can hold.
    guard let tree = unsafe tree else { throw JSONError(.invalidValue, "the parser has refused a valid text", pointer: pointer) }
    unsafe root = tree
    self.source = source
    self.limits = limits
    self.pointer = pointer
    asides = skeleton.asides
    hasOddNames = skeleton.hasOddNames
  }

  deinit { unsafe json_decref(root) }

  /// What was set aside here: its kind and its exact bytes.
  func aside(_ value: UnsafeMutablePointer<json_t>) -> (kind: JSONSkeleton.Aside.Kind, bytes: Bytes)? {
    guard unsafe value.pointee.type == JSON_STRING, let text = unsafe json_string_value(value) else { return nil }
    return unsafe aside(marked: UnsafeRawBufferPointer(start: text, count: json_string_length(value)))
  }

  private func aside(marked text: UnsafeRawBufferPointer) -> (kind: JSONSkeleton.Aside.Kind, bytes: Bytes)? {
    guard unsafe text.first == JSONSkeleton.mark else { return nil }
    let number = unsafe text[2...].reduce(0) { $0 * 10 + Int($1 - 0x30) }
    return (asides[number].kind, source.bytes[asides[number].range])
  }

  /// The member of `object` called `name`.
  func member(_ name: String, of object: UnsafeMutablePointer<json_t>) -> UnsafeMutablePointer<json_t>? {
    var utf8 = name
    let found = utf8.withUTF8 { text -> UnsafeMutablePointer<json_t>? in
      guard unsafe text.first != JSONSkeleton.mark else { return nil }
      guard let start = text.baseAddress else { return unsafe json_object_getn(object, "", 0) }
      return unsafe start.withMemoryRebound(to: CChar.self, capacity: text.count) { unsafe json_object_getn(object, $0, text.count) }
    }
    if let found = unsafe found { return unsafe found }
    guard hasOddNames else { return nil }
    var odd: UnsafeMutablePointer<json_t>?
    unsafe forEachMember(of: object) { if $0.utf8.elementsEqual(name.utf8) { unsafe odd = unsafe odd ?? $1 } }
    return unsafe odd
  }

  func forEachMember(of object: UnsafeMutablePointer<json_t>, _ body: (String, UnsafeMutablePointer<json_t>) -> Void) {
    var iterator = unsafe json_object_iter(object)
    while let place = unsafe iterator {
      let text = unsafe UnsafeRawBufferPointer(start: json_object_iter_key(place), count: json_object_iter_key_len(place))
      let name =
        if let aside = unsafe aside(marked: text) { JSONText.unescape(aside.bytes[1..<aside.bytes.count - 1]) } else {
          unsafe String(decoding: text, as: UTF8.self)
        }
      if let value = unsafe json_object_iter_value(place) { unsafe body(name, value) }
      unsafe iterator = unsafe json_object_iter_next(object, place)
    }
  }
}
