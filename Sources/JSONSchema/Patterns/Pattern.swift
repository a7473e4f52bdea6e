import CPCRE2

/// A compiled regular expression of `pattern` or `patternProperties`.
///
/// Backtracking can take exponential time, so each match has a budget. PCRE2's own match limit starts anew at every place of the text and does
/// not see the length of the loops between two backtracking points; so the pattern is compiled with a callout before every item
/// (https://www.pcre.org/current/doc/html/pcre2callout.html), which counts the items and the distance moved in the text, and ends the match.
@safe final class Pattern: @unchecked Sendable {
  // Unchecked, because: `code` is never changed after `init`, and PCRE2 lets any number of threads match with one compiled pattern at once
  // (https://www.pcre.org/current/doc/html/pcre2api.html, "Multithreading").

  enum Outcome: Equatable {
    case matched, unmatched
    case tooExpensive
  }

  /// The longest pattern, in bytes.
  static let longestSource = 16384
  /// Memory for the backtracking points of one match: this much, or more for a long text.
  private static let heapKibibytes: ClosedRange<Int> = 32768...262_144

  let source: String
  /// The memory that the compiled form takes, in bytes.
  let size: Int
  private let code: OpaquePointer
  /// What one item costs.
  private let itemCost: Int

  init(_ source: String) throws(PatternError) {
    guard source.utf8.count <= Self.longestSource else {
      throw PatternError(message: "the pattern is longer than \(Self.longestSource) bytes")
    }
    let translation = try PatternTranslator.translate(source)
    self.source = source
    unsafe code = try Self.compile(translation.pattern)
    var size = 0
    _ = unsafe pcre2_pattern_info_8(code, UInt32(PCRE2_INFO_SIZE), &size)
    self.size = size
    // Between two callouts PCRE2 may walk through a counted repeat or compare a group's text.
    itemCost = 1 + translation.greatestRepeat / 32 + (translation.hasBackreference ? 16 : 0)
  }

  deinit { unsafe pcre2_code_free_8(code) }

  private static func compile(_ translated: String) throws(PatternError) -> OpaquePointer {
    var error: Int32 = 0
    var offset = 0
    var translated = translated
    // No PCRE2_UCP: in ECMA-262 \d, \w and \b know ASCII only.
    let options =
      PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_DOLLAR_ENDONLY | PCRE2_MATCH_UNSET_BACKREF | PCRE2_NEVER_BACKSLASH_C | PCRE2_AUTO_CALLOUT
    let compiled = translated.withUTF8 {
      unsafe pcre2_compile_8($0.baseAddress, $0.count, options, &error, &offset, nil)
    }
    guard let compiled = unsafe compiled else { throw PatternError(message: message(of: error)) }
    return unsafe compiled
  }

  private static func message(of error: Int32) -> String {
    var text = [UInt8](repeating: 0, count: 256)
    let length = unsafe pcre2_get_error_message_8(error, &text, text.count)
    return length > 0 ? String(decoding: text.prefix(Int(length)), as: UTF8.self) : "not a regular expression"
  }

  /// Looks for the pattern anywhere in `subject`, spending from `budget` (about one for each byte or item looked at).
  func match(_ subject: String, budget: inout Int) -> Outcome {
    var meter = Meter(left: budget, itemCost: itemCost, place: 0)
    defer { budget = max(0, meter.left) }
    guard let context = unsafe pcre2_match_context_create_8(nil) else { return .tooExpensive }
    defer { unsafe pcre2_match_context_free_8(context) }
    guard let room = unsafe pcre2_match_data_create_8(1, nil) else { return .tooExpensive }
    defer { unsafe pcre2_match_data_free_8(room) }
    let heap = min(max(subject.utf8.count / 8, Self.heapKibibytes.lowerBound), Self.heapKibibytes.upperBound)
    _ = unsafe pcre2_set_heap_limit_8(context, UInt32(heap))
    var subject = subject
    let result = unsafe withUnsafeMutablePointer(to: &meter) { meter in
      _ = unsafe pcre2_set_callout_8(context, count, meter)
      return subject.withUTF8 { text in
        unsafe pcre2_match_8(code, text.baseAddress, text.count, 0, PCRE2_NO_UTF_CHECK, room, context)
      }
    }
    // 0 says that there were more groups than room for them.
    if result >= 0 { return .matched }
    return result == PCRE2_ERROR_NOMATCH ? .unmatched : .tooExpensive
  }
}

/// What is left of a match's budget.
private struct Meter {
  var left: Int
  let itemCost: Int
  /// Where in the text the last item began.
  var place: Int
}

/// Called by PCRE2 before each item of a pattern; anything but 0 ends the match.
private let count: @convention(c) (UnsafeMutablePointer<pcre2_callout_block_8>?, UnsafeMutableRawPointer?) -> Int32 = { block, meter in
  guard let block = unsafe block, let meter = unsafe meter?.assumingMemoryBound(to: Meter.self) else { return PCRE2_ERROR_CALLOUT }
  let place = unsafe block.pointee.current_position
  unsafe meter.pointee.left -= meter.pointee.itemCost + abs(place - meter.pointee.place)
  unsafe meter.pointee.place = place
  return unsafe meter.pointee.left > 0 ? 0 : PCRE2_ERROR_CALLOUT
}
