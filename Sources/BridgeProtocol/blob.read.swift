package enum BlobRead: WireMethod {
  package static let name = "blob.read"

  package struct Params: Decodable, Sendable {
    package let id: String
    /// In bytes of the whole value.
    package let offset: Int?
    package let length: Int?
  }
}
