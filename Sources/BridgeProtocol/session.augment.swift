package import JSON

/// Changes what a session offers and tells its models.
package enum SessionAugment: WireMethod {
  package static let name = "session.augment"
  package static let carriedPaths: CarriedPaths = ["/_meta", "/augmentation"]

  package struct Params: Decodable, Sendable {
    package let sessionId: String
    package let augmentation: CarriedJSON
  }
}
