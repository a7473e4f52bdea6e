/// The Unicode properties of `\p{…}`: ECMA-262's names, and what PCRE2 calls them.
enum UnicodeProperty {
  private static let categories: [String: String] = [
    "letter": "L", "casedletter": "L&",
    "uppercaseletter": "Lu", "lowercaseletter": "Ll", "titlecaseletter": "Lt", "modifierletter": "Lm",
    "otherletter": "Lo", "mark": "M", "combiningmark": "M", "nonspacingmark": "Mn", "spacingmark": "Mc", "enclosingmark": "Me",
    "number": "N",
    "decimalnumber": "Nd", "digit": "Nd", "letternumber": "Nl", "othernumber": "No", "punctuation": "P", "punct": "P",
    "connectorpunctuation": "Pc", "dashpunctuation": "Pd", "openpunctuation": "Ps", "closepunctuation": "Pe", "initialpunctuation": "Pi",
    "finalpunctuation": "Pf", "otherpunctuation": "Po", "symbol": "S", "mathsymbol": "Sm", "currencysymbol": "Sc", "modifiersymbol": "Sk",
    "othersymbol": "So", "separator": "Z", "spaceseparator": "Zs", "lineseparator": "Zl", "paragraphseparator": "Zp", "other": "C",
    "control": "Cc", "cntrl": "Cc", "format": "Cf", "surrogate": "Cs", "privateuse": "Co", "unassigned": "Cn",
  ]

  /// - Returns: nil for text that cannot be a property; PCRE2 itself refuses the names it does not know.
  static func pcre(_ name: String) -> String? {
    guard !name.isEmpty, name.unicodeScalars.allSatisfy({ $0.isASCIIWord || $0 == "=" }) else { return nil }
    let parts = name.split(separator: "=", omittingEmptySubsequences: false)
    switch parts.count {
    case 1: return category(parts[0])
    case 2:
      switch parts[0] {
      case "General_Category", "gc": return category(parts[1])
      case "Script", "sc": return "sc:" + parts[1]
      case "Script_Extensions", "scx": return "scx:" + parts[1]
      default: return nil
      }
    default: return nil
    }
  }

  private static func category(_ name: Substring) -> String {
    let plain = name.filter { $0 != "_" }.lowercased()
    return categories[plain] ?? String(name)
  }
}
