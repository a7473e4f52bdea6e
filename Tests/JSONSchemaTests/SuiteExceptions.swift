import JSONSchema

/// Where this validator does otherwise than the suite expects, and why. Every line must come true, or its test fails.
struct SuiteException {
  enum Kind: Equatable {
    /// The group's schema is refused.
    case refused(SchemaError.Code)
    /// One test has the other outcome.
    case accepted, rejected
  }

  var file: String
  var group: String
  /// nil for a whole group.
  var test: String?
  var kind: Kind
  var reason: String

  static func refused(_ file: String, _ group: String, _ code: SchemaError.Code, _ reason: String) -> SuiteException {
    SuiteException(file: file, group: group, kind: .refused(code), reason: reason)
  }
}

/// The whole list: what is not on it passes.
extension SuiteException {
  private static let metaSchema = "the meta-schemas are not built in, and nothing is fetched"
  private static let dialect = "a meta-schema of one's own could switch keywords off; it is refused by name"
  private static let unknown = "a keyword that would be ignored is refused by name"

  static let required = [
    refused("defs.json", "validate definition against metaschema", .unresolvedReference, metaSchema),
    refused("ref.json", "remote ref, containing refs itself", .unresolvedReference, metaSchema),
    refused("vocabulary.json", "schema that uses custom metaschema with with no validation vocabulary", .unknownDialect, dialect),
    refused("vocabulary.json", "ignore unrecognized optional vocabulary", .unknownDialect, dialect),
  ]

  static let optional = [
    refused("format-assertion.json", "schema that uses custom metaschema with format-assertion: false", .unknownDialect, dialect),
    refused("format-assertion.json", "schema that uses custom metaschema with format-assertion: true", .unknownDialect, dialect),
    refused("refOfUnknownKeyword.json", "reference of a root arbitrary keyword ", .unknownKeyword, unknown),
    refused("refOfUnknownKeyword.json", "reference of a root arbitrary keyword with encoded ref", .unknownKeyword, unknown),
    refused("refOfUnknownKeyword.json", "reference of an arbitrary keyword of a sub-schema", .unknownKeyword, unknown),
    refused("refOfUnknownKeyword.json", "reference of an arbitrary keyword of a sub-schema with encoded ref", .unknownKeyword, unknown),
    refused("unknownKeyword.json", "$id inside an unknown keyword is not a real identifier", .unknownKeyword, unknown),
    SuiteException(
      file: "cross-draft.json", group: "refs to historic drafts are processed as historic drafts",
      test: "first item not a string is valid", kind: .rejected, reason: "a 2020-12 keyword counts in a schema of any draft"),
  ]

  static let draft07 = [
    refused("definitions.json", "validate definition against metaschema", .unresolvedReference, metaSchema),
    refused("ref.json", "remote ref, containing refs itself", .unresolvedReference, metaSchema),
    SuiteException(
      file: "ref.json", group: "ref overrides any sibling keywords", test: "ref valid, maxItems ignored", kind: .rejected,
      reason: "the keywords beside a $ref count in every draft"),
  ]

  /// The only tests of the suite in which something is accepted that the suite rejects.
  static let formats = [
    "invalid Punycode", "contains illegal char U+302E Hangul single dot tone mark", "Begins with a Spacing Combining Mark",
    "Begins with a Nonspacing Mark", "Begins with an Enclosing Mark", "Exceptions that are DISALLOWED, right-to-left chars",
    "Exceptions that are DISALLOWED, left-to-right chars", "MIDDLE DOT with no preceding 'l'", "MIDDLE DOT with nothing preceding",
    "MIDDLE DOT with no following 'l'", "MIDDLE DOT with nothing following", "Greek KERAIA not followed by Greek",
    "Greek KERAIA not followed by anything", "Hebrew GERESH not preceded by Hebrew", "Hebrew GERESH not preceded by anything",
    "Hebrew GERSHAYIM not preceded by Hebrew", "Hebrew GERSHAYIM not preceded by anything",
    "KATAKANA MIDDLE DOT with no Hiragana, Katakana, or Han", "KATAKANA MIDDLE DOT with no other characters",
    "Arabic-Indic digits mixed with Extended Arabic-Indic digits", "ZERO WIDTH JOINER not preceded by Virama",
    "ZERO WIDTH JOINER not preceded by anything", "contains \"--\" in the 3rd and 4th position",
  ].map {
    SuiteException(
      file: "hostname.json", group: "validation of A-label (punycode) host names", test: $0, kind: .accepted,
      reason: "labels that begin with xn-- are checked as ASCII labels, what they stand for is not decoded")
  }
}
