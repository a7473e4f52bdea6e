import JSON

/// Puts tool calls together from their fragments, whoever sends them.
///
/// OpenAI says id and name in the first fragment of a call and the index in all. Others leave out the index, or say 0 for every call; leave out
/// the id, or say the same one for all, or a new one in each fragment; repeat the name; or send each call in one piece.
struct ChatCalls: Sendable {
  struct Call: Sendable {
    var index: Int?
    var id: CarriedJSON?
    var name: String
    private var arguments = StreamedText()
    private var end = ObjectEnd()
    /// Arguments that came as an object.
    private var object: Bytes?
    /// What Google's compatible service wants back, under `extra_content`.
    var extra: CarriedJSON?
    /// Its arguments are an object, from the first byte to the last.
    private(set) var isWhole = false
    /// It was named once more when it was whole: arguments that follow are another call's.
    var isNamedAgain = false

    var bytes: Bytes { object ?? Bytes(arguments.text) }

    init(index: Int?, name: String) {
      self.index = index
      self.name = name
    }

    mutating func add(_ fragment: CarriedJSON?) {
      if let fragment, fragment.kind == .object {
        object = fragment.bytes.compacted()
        isWhole = true
      } else {
        let wasReached = end.isReached
        end.take(arguments.append(fragment))
        // Asked once, when the end has come: arguments come in many fragments.
        if end.isReached != wasReached, object == nil { isWhole = end.isReached && bytes.isJSONObject }
      }
    }
  }

  /// As they came.
  private(set) var all: [Call] = []
  /// Fragments after a call's first have said its name again.
  private var repeatsNames = false

  /// Which of them is the first, the second and so on: by their indices, whatever came first. Where some say none, or two the same, these mean
  /// nothing, and they stay as they came.
  var order: [Int] {
    let indices = all.compactMap(\.index)
    guard Set(indices).count == all.count else { return Array(all.indices) }
    return all.indices.sorted { indices[$0] < indices[$1] }
  }

  mutating func add(_ fragment: CarriedJSON) {
    var index: Int?
    var id: String?
    var function: CarriedJSON?
    var extra: CarriedJSON?
    fragment.forEachMember { name, value in
      switch name {
      case "index": index = value.intValue
      case "id": id = value.stringValue
      case "function": function = value
      case "extra_content": extra = value.kind == .object ? CarriedJSON(trusted: value.bytes.compacted()) : nil
      default: break
      }
    }
    add(index, id.flatMap { $0.isEmpty ? nil : $0 }, function ?? .emptyObject, extra)
  }

  /// `function_call`, from before there were tools: one call at most.
  mutating func add(legacy function: CarriedJSON) {
    if function.kind == .object { add(0, nil, function, nil) }
  }

  private mutating func add(_ index: Int?, _ id: String?, _ function: CarriedJSON, _ extra: CarriedJSON?) {
    var name: String?
    var arguments: CarriedJSON?
    function.forEachMember { member, value in
      switch member {
      case "name": name = value.stringValue
      case "arguments": arguments = value
      default: break
      }
    }
    if name?.isEmpty == true { name = nil }
    let place = place(index, id, name, arguments)
    if all[place].name.isEmpty, let name { all[place].name = name }
    if all[place].id == nil, let id, id.utf8.count <= 256 { all[place].id = CarriedJSON(string: id) }
    all[place].extra = all[place].extra ?? extra
    all[place].add(arguments)
  }

  /// Which call a fragment belongs to; begins one when it is none of those that are there.
  private mutating func place(_ index: Int?, _ id: String?, _ name: String?, _ arguments: CarriedJSON?) -> Int {
    let known = index.map { index in all.lastIndex { $0.index == index } } ?? named(id) ?? all.indices.last
    guard let known else { return begin(index, "") }
    if name == nil, all[known].isNamedAgain, Self.brings(arguments) { return begin(index, all[known].name) }
    return begins(known, id, name, arguments) ? begin(index, "") : known
  }

  private func named(_ id: String?) -> Int? {
    id.flatMap { id in all.lastIndex { $0.id?.stringValue == id } }
  }

  private mutating func begin(_ index: Int?, _ name: String) -> Int {
    all.append(Call(index: index, name: name))
    return all.count - 1
  }

  /// Whether there is more in them than white space.
  private static func brings(_ arguments: CarriedJSON?) -> Bool {
    guard let arguments else { return false }
    return arguments.kind == .object || arguments.inside.map { !EscapedText.isBlank($0) } == true
  }

  /// Whether a fragment begins another call than the one at `known`, which it might go on with.
  private mutating func begins(_ known: Int, _ id: String?, _ name: String?, _ arguments: CarriedJSON?) -> Bool {
    guard let name else { return false }
    let call = all[known]
    if let id, let known = call.id?.stringValue, id != known { return true }
    if call.name.isEmpty { return false }
    if name != call.name { return true }
    // The same name again: said once more, or another call of the same tool. One that brings nothing may be the last word of this call or the
    // first of another, which what follows will tell.
    let isWhole = call.isWhole
    let brings = Self.brings(arguments)
    if isWhole, !brings { all[known].isNamedAgain = true }
    let isNew =
      isWhole && brings
      && (!repeatsNames || arguments?.kind == .object || arguments?.inside.map { $0.count > 0 && $0[0] == 0x7B } == true)
    if !isNew { repeatsNames = true }
    return isNew
  }
}
