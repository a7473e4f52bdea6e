import CJansson

/// A value of a parsed document and the way to it.
@safe struct JSONSpot {
  enum Token {
    case member(String)
    case element(Int)

    var text: String {
      switch self {
      case .member(let name): name
      case .element(let index): String(index)
      }
    }
  }

  let document: JSONDocument
  let value: UnsafeMutablePointer<json_t>
  /// Nil at the top.
  let way: (from: JSONPlace, by: Token)?

  init(_ document: JSONDocument) {
    unsafe self.init(document, document.root, nil)
  }

  init(_ document: JSONDocument, _ value: UnsafeMutablePointer<json_t>, _ way: (from: JSONPlace, by: Token)?) {
    self.document = document
    unsafe self.value = value
    self.way = way
  }

  var pointer: String {
    guard let way else { return document.pointer }
    return way.from.spot.pointer + "/" + JSONPointer.escape(way.by.text)
  }

  func error(_ code: JSONError.Code, _ message: String) -> JSONError { JSONError(code, message, pointer: pointer) }

  /// The value's exact bytes.
  var carried: CarriedJSON {
    if unsafe value == document.root { return document.source }
    if let aside = unsafe document.aside(value) { return CarriedJSON(trusted: aside.bytes) }
    guard let way else { return document.source }
    return unsafe way.from.slice(of: value, way.by)
  }

  /// The same value as jansson has it: a place that was only carried is parsed now.
  func parsed() throws(JSONError) -> JSONSpot {
    guard let aside = unsafe document.aside(value), aside.kind == .carried else { return self }
    let inner = try JSONDocument(CarriedJSON(trusted: aside.bytes), carrying: .none, limits: document.limits, at: pointer)
    return unsafe JSONSpot(inner, inner.root, way)
  }

  var isNull: Bool {
    if unsafe value.pointee.type == JSON_NULL { return true }
    guard let aside = unsafe document.aside(value), aside.kind == .carried else { return false }
    return CarriedJSON(trusted: aside.bytes).isNull
  }

  func bool() throws(JSONError) -> Bool {
    let spot = try parsed()
    switch unsafe spot.value.pointee.type {
    case JSON_TRUE: return true
    case JSON_FALSE: return false
    default: throw error(.typeMismatch, "must be true or false")
    }
  }

  func string() throws(JSONError) -> String {
    let spot = try parsed()
    guard unsafe spot.value.pointee.type == JSON_STRING, let text = unsafe json_string_value(spot.value) else {
      throw error(.typeMismatch, "must be a string")
    }
    guard let aside = unsafe spot.document.aside(spot.value) else {
      return unsafe String(decoding: UnsafeRawBufferPointer(start: text, count: json_string_length(spot.value)), as: UTF8.self)
    }
    guard aside.kind == .string else { throw error(.typeMismatch, "must be a string") }
    return JSONText.unescape(aside.bytes[1..<aside.bytes.count - 1])
  }

  /// An integer of a protocol: no larger than all readers of JSON agree about, so that sums and products of a few cannot overflow.
  func integer(_: Int.Type) throws(JSONError) -> Int {
    let value: Int = try exactInteger(Int.self)
    guard value.magnitude <= JSONLimits.largestInteger else {
      throw error(.invalidValue, "is out of range: an integer is at most \(JSONLimits.largestInteger)")
    }
    return value
  }

  func integer<T: FixedWidthInteger>(_ type: T.Type) throws(JSONError) -> T { try exactInteger(type) }

  private func exactInteger<T: FixedWidthInteger>(_: T.Type) throws(JSONError) -> T {
    let spot = try parsed()
    if unsafe spot.value.pointee.type == JSON_INTEGER {
      guard let value = unsafe T(exactly: json_integer_value(spot.value)) else { throw error(.invalidValue, "is out of range") }
      return value
    }
    guard let aside = unsafe spot.document.aside(spot.value), aside.kind == .number else {
      throw error(.typeMismatch, "must be an integer")
    }
    switch JSONNumber.integer(aside.bytes) {
    case .notIntegral: throw error(.typeMismatch, "must be an integer")
    case .tooLarge: throw error(.invalidValue, "is out of range")
    case .value(let negative, let magnitude):
      let value = negative ? T(exactly: -Int128(magnitude)) : T(exactly: magnitude)
      guard let value else { throw error(.invalidValue, "is out of range") }
      return value
    }
  }

  func real<T: BinaryFloatingPoint & LosslessStringConvertible>(_: T.Type) throws(JSONError) -> T {
    let spot = try parsed()
    if unsafe spot.value.pointee.type == JSON_INTEGER { return unsafe T(json_integer_value(spot.value)) }
    guard let aside = unsafe spot.document.aside(spot.value), aside.kind == .number else {
      throw error(.typeMismatch, "must be a number")
    }
    guard let value = T(aside.bytes.string), value.isFinite else { throw error(.invalidValue, "is out of range") }
    return value
  }

  /// What `type` makes of the value; its errors get the place they are about, and lose what they say about the value.
  func decode<T: Decodable>(_ type: T.Type) throws(JSONError) -> T {
    let place = JSONPlace(self)
    do {
      if type is any JSONNamedValues.Type { try place.requireDistinctNames() }
      return try type.init(from: place)
    } catch let error as JSONError {
      guard error.pointer == nil else { throw error }
      var placed = error
      placed.pointer = pointer
      throw placed
    } catch {
      throw mapped(error)
    }
  }

  private func mapped(_ error: any Error) -> JSONError {
    guard let error = error as? DecodingError else { return self.error(.invalidValue, "has a value that is not allowed") }
    func at(_ path: [any CodingKey], _ code: JSONError.Code, _ message: String) -> JSONError {
      let own = JSONPlace(self).codingPath.count
      return JSONError(code, message, pointer: path.dropFirst(own).reduce(pointer) { $0 + "/" + JSONPointer.escape($1.stringValue) })
    }
    switch error {
    case .keyNotFound(let key, let context): return at(context.codingPath + [key], .missingMember, "is required")
    case .valueNotFound(_, let context): return at(context.codingPath, .missingMember, "is required")
    case .typeMismatch(_, let context): return at(context.codingPath, .typeMismatch, "has the wrong type")
    case .dataCorrupted(let context): return at(context.codingPath, .invalidValue, "has a value that is not allowed")
    @unknown default: return self.error(.invalidValue, "has a value that is not allowed")
    }
  }
}
