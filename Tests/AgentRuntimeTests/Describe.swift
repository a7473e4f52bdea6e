import AgentRuntime
import JSON

/// Everything that is in a value, whatever it is made of: two values with the same description are equal in every stored property.
func describe(_ value: Any) -> String {
  switch value {
  case let bytes as Bytes: return "<\(bytes.string)>"
  case let json as CarriedJSON: return json.bytes.string
  case let id as ULID: return id.text
  case let text as String: return "'\(text)'"
  default: break
  }
  let mirror = Mirror(reflecting: value)
  let children = mirror.children.map { (label: $0.label, text: describe($0.value)) }
  switch mirror.displayStyle {
  case .set, .dictionary: return "{" + children.map(\.text).sorted().joined(separator: ", ") + "}"
  case .optional: return children.first?.text ?? "nil"
  case .collection: return "[" + children.map(\.text).joined(separator: ", ") + "]"
  default:
    if children.isEmpty { return "\(value)" }
    let name = mirror.displayStyle == .tuple ? "" : "\(mirror.subjectType)"
    return name + "(" + children.map { ($0.label.map { "\($0): " } ?? "") + $0.text }.joined(separator: ", ") + ")"
  }
}
