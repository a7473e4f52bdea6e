package import JSON

/// A request that a client may send: its name, its params, and what of them is only carried.
package protocol WireMethod: SendableMetatype {
  associatedtype Params: Decodable & Sendable
  static var name: String { get }
  /// Places of the params that keep their exact bytes.
  static var carriedPaths: CarriedPaths { get }
  /// Makes the params of an object that repeats no name.
  static func read(_ json: CarriedJSON, carrying paths: CarriedPaths) throws(JSONError) -> Params
}

extension WireMethod {
  package static var carriedPaths: CarriedPaths { ["/_meta"] }

  package static func read(_ json: CarriedJSON, carrying paths: CarriedPaths) throws(JSONError) -> Params {
    try JSONCoding.decode(Params.self, from: json, carrying: paths)
  }
}

extension WireMethod where Params == NoParams {
  package static func read(_ json: CarriedJSON, carrying paths: CarriedPaths) throws(JSONError) -> NoParams { NoParams() }
}

/// Params that nothing is read of.
package struct NoParams: Decodable, Sendable {}

/// What several methods want: a run.
package struct RunIDParams: Decodable, Sendable {
  package let runId: String
}
