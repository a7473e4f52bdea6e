import JSON

package enum RunList: WireMethod {
  package static let name = "run.list"

  package struct Params: Decodable, Sendable {
    /// A word, or a list of words.
    package let status: [String]
    package let driver: Driver?
    package let sessionId: String?
    package let metadata: [String: String]?
    package let limit: Int?
    package let cursor: String?

    private enum CodingKeys: String, CodingKey { case status, driver, sessionId, metadata, limit, cursor }

    package init(from decoder: any Decoder) throws {
      let members = try decoder.container(keyedBy: CodingKeys.self)
      if let word = try? members.decodeIfPresent(String.self, forKey: .status) {
        status = [word]
      } else {
        let words = try members.decodeIfPresent([String].self, forKey: .status)
        if words?.isEmpty == true { throw decoder.invalid("must not be empty", CodingKeys.status) }
        status = words ?? []
      }
      driver = try members.decodeIfPresent(Driver.self, forKey: .driver)
      sessionId = try members.decodeIfPresent(String.self, forKey: .sessionId)
      metadata = try members.decodeIfPresent([String: String].self, forKey: .metadata)
      limit = try members.decodeIfPresent(Int.self, forKey: .limit)
      cursor = try members.decodeIfPresent(String.self, forKey: .cursor)
    }
  }

  package enum Driver: String, Decodable, Sendable {
    case own = "self"
    case other, none
  }
}
