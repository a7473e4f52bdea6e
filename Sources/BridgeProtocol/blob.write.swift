package import JSON

/// Builds a blob from chunks.
package enum BlobWrite: WireMethod {
  package static let name = "blob.write"

  package struct Params: Decodable, Sendable {
    /// A JSON string: text, or a piece of JSON text.
    package let data: CarriedJSON
    package let type: Kind?
    package let id: String?
    package let last: Bool?
  }

  package enum Kind: String, Decodable, Sendable { case string, json }
}
