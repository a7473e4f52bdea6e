import FootbridgeKit

/// Two functions of this program as tools of an agent, whose runs are kept in a file.
///
///     swift run -c release SwiftTools runs.db script:Examples/SwiftTools/plan.jsonl
@main struct Main {
  struct Trip: Decodable, Sendable {
    enum Vehicle: String, Decodable, CaseIterable, Sendable { case bicycle, train }

    var from: String
    var kilometres: Double
    var by: Vehicle
    var stops: [String]?
  }

  struct Duration: Encodable, Sendable {
    var minutes: Int
    var stops: Int
  }

  struct TooFar: Error, CustomStringConvertible { let description: String }

  static func main() async throws {
    let arguments = CommandLine.arguments
    guard arguments.count == 3 else { return print("usage: SwiftTools STORE MODEL") }
    let runtime = try LocalRuntime(store: .sqlite(arguments[1]), allowsCommands: true)

    // The schema of the arguments is made from `Trip`; the result is JSON.
    try runtime.register("duration", "How long a trip takes.") { (trip: Trip) in
      if trip.by == .bicycle, trip.kilometres > 150 { throw TooFar(description: "nobody rides \(Int(trip.kilometres)) km a day") }
      let speed = trip.by == .bicycle ? 20.0 : 120.0
      return Duration(minutes: Int(trip.kilometres / speed * 60), stops: trip.stops?.count ?? 0)
    }
    // A call has an id that stays the same when it is made again.
    try runtime.register("note", "Writes a line down.", schema: #"{"type":"object","properties":{"line":{"type":"string"}}}"#) {
      (line: [String: String], call: ToolCall) in
      print("note, attempt \(call.attempt): \(line["line"] ?? "")")
      return "written down"
    }

    let outcome = try await runtime.run(LocalAgent(model: arguments[2]), "How long is the trip?")
    print("\(outcome.status): \(outcome.answer ?? outcome.error ?? "")")
    runtime.close()
  }
}
