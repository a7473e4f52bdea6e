import JSON

/// What a `notifications/progress` of the client says, as far as it is known: it is shown to observers as it came.
struct Progress {
  /// An object of `progress`, and `total` and `message` where they are given.
  let members: CarriedJSON

  /// Nil for what the notification's schema does not allow.
  init?(reading params: CarriedJSON) {
    guard params["progress"]?.kind == .number else { return nil }
    var writer = JSONWriter()
    writer.beginObject()
    for (name, kind) in [("progress", CarriedJSON.Kind.number), ("total", .number), ("message", .string)] {
      guard let value = params[name], !value.isNull else { continue }
      guard value.kind == kind else { return nil }
      writer.key(escaping: name)
      writer.value(value)
    }
    writer.endObject()
    members = CarriedJSON(trusted: writer.finish())
  }
}
