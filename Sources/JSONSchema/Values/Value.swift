/// A parsed JSON value, as JSON Schema compares it: numbers by their mathematical value, objects without order.
enum Value: Sendable {
  case null
  case bool(Bool)
  case number(Number)
  case string(ExactString)
  case array(Elements)
  case object(Members)

  /// The elements of an array.
  struct Elements: Sendable {
    let all: [Value]
    /// What looking at all of it costs, in steps of the evaluation's budget.
    let weight: Int

    var count: Int { all.count }
  }

  var kinds: Kinds {
    switch self {
    case .null: .null
    case .bool: .boolean
    case .number(let number): number.isInteger ? [.integer, .number] : .number
    case .string: .string
    case .array: .array
    case .object: .object
    }
  }

  /// What hashing or comparing the value costs, in steps.
  var weight: Int {
    switch self {
    case .null, .bool: 1
    case .number(let number): number.weight
    case .string(let text): 1 + text.utf8Count / 64
    case .array(let elements): elements.weight
    case .object(let members): members.weight
    }
  }
}

extension Value: Hashable {
  static func == (a: Value, b: Value) -> Bool {
    switch (a, b) {
    case (.null, .null): true
    case (.bool(let x), .bool(let y)): x == y
    case (.number(let x), .number(let y)): x == y
    case (.string(let x), .string(let y)): x == y
    case (.array(let x), .array(let y)): x.all == y.all
    case (.object(let x), .object(let y)): x == y
    default: false
    }
  }

  func hash(into hasher: inout Hasher) {
    switch self {
    case .null: hasher.combine(0)
    case .bool(let value): hasher.combine(value ? 1 : 2)
    case .number(let number): hasher.combine(number)
    case .string(let text): hasher.combine(text)
    case .array(let elements): hasher.combine(elements.all)
    case .object(let members): hasher.combine(members)
    }
  }
}

/// The members of an object, in the order they came; no name is there twice.
struct Members: Sendable {
  typealias Member = (name: ExactString, value: Value)

  /// Up to here, looking through the members is as fast as a dictionary.
  private static let fewMembers = 8

  let all: [Member]
  /// As `Elements.weight`.
  let weight: Int
  private let places: [ExactString: Int]

  /// - Returns: nil, and the name in `duplicate`, when a name is there twice.
  init?(_ all: [Member], weight: Int, duplicate: inout ExactString?) {
    var places: [ExactString: Int] = [:]
    if all.count > Self.fewMembers {
      places.reserveCapacity(all.count)
      for (place, member) in all.enumerated() where places.updateValue(place, forKey: member.name) != nil {
        duplicate = member.name
        return nil
      }
    } else {
      for place in all.indices where all[..<place].contains(where: { $0.name == all[place].name }) {
        duplicate = all[place].name
        return nil
      }
    }
    self.all = all
    self.weight = weight
    self.places = places
  }

  var count: Int { all.count }

  func place(of name: ExactString) -> Int? {
    all.count > Self.fewMembers ? places[name] : all.firstIndex { $0.name == name }
  }

  subscript(_ name: ExactString) -> Value? { place(of: name).map { all[$0].value } }
}

extension Members: Hashable {
  static func == (a: Members, b: Members) -> Bool {
    a.count == b.count && a.all.allSatisfy { b[$0.name] == $0.value }
  }

  func hash(into hasher: inout Hasher) {
    // The sum does not depend on the order of the members.
    var sum = 0
    for member in all {
      var one = hasher
      one.combine(member.name)
      one.combine(member.value)
      sum &+= one.finalize()
    }
    hasher.combine(count)
    hasher.combine(sum)
  }
}

/// The values that `type` can name.
struct Kinds: OptionSet, Sendable {
  let rawValue: UInt8

  static let null = Kinds(rawValue: 1)
  static let boolean = Kinds(rawValue: 2)
  static let integer = Kinds(rawValue: 4)
  static let number = Kinds(rawValue: 8)
  static let string = Kinds(rawValue: 16)
  static let array = Kinds(rawValue: 32)
  static let object = Kinds(rawValue: 64)

  init(rawValue: UInt8) { self.rawValue = rawValue }

  init?(named name: String) {
    switch name {
    case "null": self = .null
    case "boolean": self = .boolean
    case "integer": self = .integer
    case "number": self = .number
    case "string": self = .string
    case "array": self = .array
    case "object": self = .object
    default: return nil
    }
  }

  /// With articles, for messages: "a string", "a string or null".
  var words: String {
    var words: [String] = []
    if contains(.string) { words.append("a string") }
    if contains(.number) { words.append("a number") } else if contains(.integer) { words.append("an integer") }
    if contains(.boolean) { words.append("a boolean") }
    if contains(.object) { words.append("an object") }
    if contains(.array) { words.append("an array") }
    if contains(.null) { words.append("null") }
    guard words.count > 1, let last = words.popLast() else { return words.first ?? "nothing" }
    return words.joined(separator: ", ") + " or " + last
  }
}
