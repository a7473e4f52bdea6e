import JSON

/// What client and model share beside the messages, as `augmentation.applied` shows it: the state and the context items, long ones as blobs.
package struct SharedContext: Sendable, Equatable {
  struct Item: Sendable, Equatable {
    var key: StoredValue
    var description: StoredValue
    var value: StoredValue
  }

  var state: StoredValue
  var items: [Item]

  init(_ toolbox: Toolbox, storing spiller: inout BlobSpiller) {
    state = spiller.store(.inline(toolbox.state ?? .null))
    items = []
    for item in toolbox.context {
      items.append(
        Item(
          key: spiller.store(.inline(CarriedJSON(string: item.key))),
          description: spiller.store(.inline(CarriedJSON(string: item.description))), value: spiller.store(.inline(item.value))))
    }
  }

  /// Reads the `data` of an `augmentation.applied` event.
  init(logged data: CarriedJSON) {
    state = StoredValue(wire: data["state"] ?? .null)
    items = (data["context"]?.elements ?? []).map { item in
      func member(_ name: String) -> StoredValue { StoredValue(wire: item[name] ?? CarriedJSON(string: "")) }
      return Item(key: member("key"), description: member("description"), value: member("value"))
    }
  }

  func writeMembers(to writer: inout JSONWriter) {
    writer.member("state", state.wire)
    writer.key("context")
    writer.beginArray()
    for item in items {
      writer.beginObject()
      writer.member("key", item.key.wire)
      writer.member("description", item.description.wire)
      writer.member("value", item.value.wire)
      writer.endObject()
    }
    writer.endArray()
  }
}
