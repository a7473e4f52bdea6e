package import JSON

/// A request that a client may send: its name, its params, and what of them is only carried.
package protocol WireMethod: SendableMetatype {
  associatedtype Params: Decodable & Sendable
  static var name: String { get }
  /// Places of the params that keep their exact bytes.
  static var carriedPaths: CarriedPaths { get }
}

extension WireMethod {
  package static var carriedPaths: CarriedPaths { ["/_meta"] }
}

/// Params that nothing is read of.
package struct NoParams: Decodable, Sendable {}

/// What several methods want: a run.
package struct RunIDParams: Decodable, Sendable {
  package let runId: String
}
