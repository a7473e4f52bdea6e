import AgentRuntime
import BridgeProtocol
import JSON

/// Lists that are read page by page.
extension Outbox {
  /// What stands around the items of a page at most, besides a cursor.
  static let aroundItems = 64

  /// A page; of its items only as many as the client can read in one line, but one at least.
  ///
  /// - Parameters:
  ///   - write: Writes an item, and says whose the names of blobs in it are.
  ///   - next: Where the list goes on after all of them.
  ///   - cursor: Where it goes on after an item.
  func page<Item>(
    _ name: StaticString, _ items: [Item], next: String?, for ticket: Ticket, _ engine: RunEngine,
    write: (Item, inout JSONWriter) -> BlobNaming, cursor: (Item) -> String
  ) throws(RuntimeError) -> CarriedJSON {
    var next = next
    var writer = JSONWriter(capacity: 4096)
    writer.beginObject()
    writer.key(name)
    writer.beginArray()
    for (index, item) in items.enumerated() {
      guard let fitting = fitting() else {
        _ = write(item, &writer)
        continue
      }
      let around = ticket.idBytes + Self.aroundItems + cursor(item).utf8.count
      var own = JSONWriter(capacity: 512)
      let naming = write(item, &own)
      let json = try fitted(CarriedJSON(trusted: own.finish()), besides: around, engine, naming)
      if index > 0, !fitting.fits(writer.count + json.bytes.count, besides: around) {
        next = cursor(items[index - 1])
        break
      }
      writer.value(json)
    }
    writer.endArray()
    writer.member("nextCursor", ifPresent: next)
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }
}
