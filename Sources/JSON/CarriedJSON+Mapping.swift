/// A value written anew with parts of it changed.
extension CarriedJSON {
  /// The object with each value as `change` makes it; a member for which that is nil is left out. Another kind as it is.
  package func mapMembers<E>(_ change: (_ name: MemberName, _ value: CarriedJSON) throws(E) -> CarriedJSON?) throws(E) -> CarriedJSON {
    guard kind == .object else { return self }
    var writer = JSONWriter(capacity: bytes.count)
    writer.beginObject()
    try forEachMember { (name, value) throws(E) in
      guard let changed = try change(name, value) else { return }
      writer.key(name)
      writer.value(changed)
    }
    writer.endObject()
    return CarriedJSON(trusted: writer.finish())
  }

  /// The array with each element as `change` makes it. Another kind as it is.
  package func mapElements<E>(_ change: (_ index: Int, _ value: CarriedJSON) throws(E) -> CarriedJSON) throws(E) -> CarriedJSON {
    guard kind == .array else { return self }
    var index = 0
    var writer = JSONWriter(capacity: bytes.count)
    writer.beginArray()
    try forEachElement { (value) throws(E) in
      writer.value(try change(index, value))
      index += 1
    }
    writer.endArray()
    return CarriedJSON(trusted: writer.finish())
  }
}
