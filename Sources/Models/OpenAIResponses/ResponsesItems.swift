import JSON

/// The items of a response, put together from the events in which each of them comes, whoever sends them.
///
/// OpenAI names an item in each event, by its id and its place in the output. llama.cpp leaves out the places, others say 0 for all of them; vLLM
/// leaves out ids, and makes up new ones for the end of an item and for the end of the response. So an event belongs to the item that it
/// names, and else to the one that it can mean by its type, its place and its turn.
struct ResponsesItems: Sendable {
  struct Item: Sendable {
    let type: String
    /// In the output, or after those before it where nothing is said of that.
    fileprivate(set) var place: Int
    fileprivate(set) var text = StreamedText()
    fileprivate(set) var isRefusal = false
    fileprivate(set) var arguments = StreamedText()
    /// As far as it is known: from the end of the item, else from its beginning.
    fileprivate(set) var json: CarriedJSON?
    fileprivate(set) var isDone = false
    fileprivate var name = ItemName()

    fileprivate func isAt(_ place: Int?) -> Bool { place == nil || place == self.place }
  }

  private(set) var all: [Item] = []

  /// `response.output_item.added`.
  mutating func begin(_ json: CarriedJSON?, at place: Int?) {
    guard let json, let type = json["type"]?.stringValue else { return }
    let name = ItemName(of: json)
    // One that its deltas, or the same event, have begun; what has ended does not begin once more.
    let known = all.lastIndex { item in
      if item.type != type || item.isDone { return false }
      if item.name.agrees(name) { return true }
      return !item.name.differs(name) && item.name.mayCall(name) && item.isAt(place) && (place != nil || item.json == nil)
    }
    set(known ?? add(type, at: place), json, name, isDone: false)
  }

  /// `response.output_item.done`; returns what is left to show of its text.
  mutating func end(_ json: CarriedJSON?, at place: Int?) -> String {
    guard let json, let type = json["type"]?.stringValue else { return "" }
    let name = ItemName(of: json)
    let known =
      all.lastIndex { $0.type == type && !$0.isDone && $0.name.agrees(name) }
      ?? all.lastIndex { $0.type == type && $0.name.agrees(name) }
      ?? all.lastIndex { $0.type == type && !$0.isDone && $0.name.shares(name) }
      ?? all.firstIndex { $0.type == type && !$0.isDone && $0.name.mayCall(name) && $0.isAt(place) }
    let index = known ?? add(type, at: place)
    set(index, json, name, isDone: true)
    return all[index].text.showRest()
  }

  /// What is left to show of the texts whose end was not told.
  mutating func showRest() -> String { all.indices.map { all[$0].text.showRest() }.joined() }

  /// The items that the end of the response lists: those that no event has brought are added where they stand there, those that none has
  /// ended are taken from there.
  mutating func complete(_ output: CarriedJSON?) {
    all = all.enumerated().sorted { ($0.element.place, $0.offset) < ($1.element.place, $1.offset) }.map(\.element)
    let listed = (output?.elements ?? []).compactMap { json in
      json["type"]?.stringValue.map { (type: $0, json: json, name: ItemName(of: json)) }
    }
    // Which item each is. Those that are named come first, so that none of them is taken for another.
    var places = [Int?](repeating: nil, count: listed.count)
    var taken = Set<Int>()
    let rules: [(ItemName, ItemName) -> Bool] = [{ $0.agrees($1) }, { $0.shares($1) }, { $0.mayCall($1) }]
    for rule in rules {
      for (index, item) in listed.enumerated() where places[index] == nil {
        places[index] = all.indices.first { !taken.contains($0) && all[$0].type == item.type && rule(all[$0].name, item.name) }
        if let place = places[index] { taken.insert(place) }
      }
    }
    var added: [(before: Int, item: Item)] = []
    var next = 0
    for (index, item) in listed.enumerated() {
      if let place = places[index] {
        if !all[place].isDone { set(place, item.json, item.name, isDone: true) }
        next = place + 1
      } else {
        added.append((next, Item(type: item.type, place: 0, json: CarriedJSON(trusted: item.json.bytes.compacted()), isDone: true)))
      }
    }
    for (before, item) in added.enumerated().sorted(by: { ($0.element.before, $0.offset) > ($1.element.before, $1.offset) }).map(\.element)
    {
      all.insert(item, at: before)
    }
  }

  /// Takes a delta of a message's text; returns what to show.
  mutating func add(text delta: CarriedJSON?, isRefusal: Bool, to id: CarriedJSON?, at place: Int?) -> String {
    let index = open("message", id, at: place)
    if isRefusal { all[index].isRefusal = true }
    return all[index].text.append(delta)
  }

  /// Takes a delta of a call's arguments.
  mutating func add(arguments delta: CarriedJSON?, to id: CarriedJSON?, at place: Int?) {
    let index = open("function_call", id, at: place)
    _ = all[index].arguments.append(delta)
  }

  /// The item that a delta belongs to; one that has not been announced begins here.
  private mutating func open(_ type: String, _ id: CarriedJSON?, at place: Int?) -> Int {
    let id = id?.inside
    // llama.cpp names a call by the id of the call.
    if let id, let named = all.lastIndex(where: { $0.type == type && ($0.name.id == id || $0.name.call == id) }) { return named }
    if let meant = all.lastIndex(where: { $0.type == type && !$0.isDone && $0.isAt(place) }) { return meant }
    let index = add(type, at: place)
    all[index].name.id = id?.compacted()
    return index
  }

  private mutating func add(_ type: String, at place: Int?) -> Int {
    all.append(Item(type: type, place: place ?? (all.map(\.place).max() ?? -1) + 1))
    return all.count - 1
  }

  private mutating func set(_ index: Int, _ json: CarriedJSON, _ name: ItemName, isDone: Bool) {
    all[index].json = CarriedJSON(trusted: json.bytes.compacted())
    all[index].name.take(name)
    all[index].isDone = isDone
  }
}

/// What an item is known by; each an inside of a JSON string.
private struct ItemName: Sendable {
  var id: Bytes?
  /// The call's own id.
  var call: Bytes?
  /// Of the function that is called.
  var function: Bytes?

  init() {}

  init(of item: CarriedJSON) {
    id = Self.text(item["id"])
    call = Self.text(item["call_id"])
    function = Self.text(item["name"])
  }

  private static func text(_ value: CarriedJSON?) -> Bytes? { value?.inside.flatMap { $0.isEmpty ? nil : $0 } }

  mutating func take(_ other: ItemName) {
    id = other.id?.compacted() ?? id
    call = other.call?.compacted() ?? call
    function = other.function?.compacted() ?? function
  }

  /// Whether they have an id in common.
  func shares(_ other: ItemName) -> Bool { (id != nil && id == other.id) || (call != nil && call == other.call) }

  func differs(_ other: ItemName) -> Bool { Self.differ(id, other.id) || Self.differ(call, other.call) }

  func agrees(_ other: ItemName) -> Bool { shares(other) && !differs(other) }

  /// Whether they are of one kind, if they are calls: of one function.
  func mayCall(_ other: ItemName) -> Bool { !Self.differ(function, other.function) }

  private static func differ(_ a: Bytes?, _ b: Bytes?) -> Bool { if let a, let b { a != b } else { false } }
}
