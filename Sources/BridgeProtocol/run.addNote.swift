package import JSON

/// An interjection that the model sees at its next turn.
package enum RunAddNote: WireMethod {
  package static let name = "run.addNote"

  package struct Params: Decodable, Sendable {
    package let runId: String
    /// A JSON string.
    package let text: CarriedJSON
  }
}
