/// Steps over valid JSON as fast as the memory allows.
///
/// Each function returns the place after what it was asked to step over, or a negative number, which means only that this path does not say that it
/// is valid: the bytewise path then judges, and knows the error. Text is padded with `ByteStorage.padding` readable bytes; what is read past its end is
/// never part of an answer, since no answer lies past the end. Sums of places cannot overflow, hence `&+`.
enum FastScan {
  private static let unsure = -1
  /// Levels that one register can keep; deeper values are the bytewise path's.
  private static let mostLevels = 63

  // MARK: values

  static func value(_ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int, maxDepth: Int) -> Int {
    var i = start
    var depth = 0
    // One bit an open container, the innermost lowest: 1 is an object.
    var levels: UInt64 = 0
    let deepest = min(maxDepth, mostLevels)
    while true {
      guard i < end else { return unsure }
      let first = unsafe base[i]
      switch first {
      case 0x22:
        i = unsafe string(base, i, end)
        if i < 0 { return unsure }
      case 0x7B, 0x5B:
        guard depth < deepest else { return unsure }
        i = unsafe afterWhitespace(base, i &+ 1, end)
        if unsafe base[i] == first + 2 {
          i &+= 1
          break
        }
        depth += 1
        levels = levels << 1 | (first == 0x7B ? 1 : 0)
        if first == 0x7B {
          i = unsafe name(base, i, end)
          if i < 0 { return unsure }
        }
        continue
      case 0x2D:
        i &+= 1
        fallthrough
      case 0x30...0x39:
        i = unsafe unsigned(base, i)
        if i < 0 { return unsure }
      default:
        i = unsafe literal(base, i)
        if i < 0 { return unsure }
      }
      // After a value: close what ends here, or step to the next value of the innermost container.
      while true {
        if depth == 0 { return i <= end ? i : unsure }
        if levels & 1 == 1, unsafe pair(base, i) == 0x222C {
          i = unsafe name(base, i &+ 1, end)
          if i < 0 { return unsure }
          break
        }
        i = unsafe afterWhitespace(base, i, end)
        let byte = unsafe base[i]
        i &+= 1
        if byte == 0x2C {
          i = unsafe afterWhitespace(base, i, end)
          if levels & 1 == 1 {
            i = unsafe name(base, i, end)
            if i < 0 { return unsure }
          }
          break
        }
        guard byte == (levels & 1 == 1 ? 0x7D : 0x5D) else { return unsure }
        levels >>= 1
        depth -= 1
      }
    }
  }

  /// Two bytes, the first one lowest.
  @inline(__always)
  private static func pair(_ base: UnsafePointer<UInt8>, _ at: Int) -> UInt16 {
    unsafe UInt16(littleEndian: UnsafeRawPointer(base + at).loadUnaligned(as: UInt16.self))
  }

  /// A member name, the colon, and the white space around it.
  @inline(__always)
  private static func name(_ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
    guard unsafe base[start] == 0x22 else { return unsure }
    // A short one with the colon right behind it; if they lie past the end, so does the answer.
    let found = unsafe ByteSearch.stops(ByteSearch.word(base, start &+ 1))
    if found != 0 {
      let stop = start &+ 1 &+ ByteSearch.offset(found)
      if unsafe pair(base, stop) == 0x3A22 { return unsafe afterWhitespace(base, stop &+ 2, end) }
    }
    var i = unsafe string(base, start, end)
    if i < 0 { return unsure }
    i = unsafe afterWhitespace(base, i, end)
    guard unsafe base[i] == 0x3A else { return unsure }
    return unsafe afterWhitespace(base, i &+ 1, end)
  }

  /// At most `end` when `start` is.
  @inline(__always)
  static func afterWhitespace(_ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
    unsafe base[start] > 0x20 ? start : afterSomeWhitespace(base, start, end)
  }

  @inline(never)
  private static func afterSomeWhitespace(_ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
    var i = start
    while i < end {
      if unsafe ByteSearch.word(base, i) == 0x2020_2020_2020_2020 {
        i = min(i &+ 8, end)
        continue
      }
      switch unsafe base[i] {
      case 0x20, 0x09, 0x0A, 0x0D: i &+= 1
      default: return i
      }
    }
    return i
  }

  private static func literal(_ base: UnsafePointer<UInt8>, _ start: Int) -> Int {
    switch unsafe UInt32(truncatingIfNeeded: ByteSearch.word(base, start)) {
    case 0x6575_7274, 0x6C6C_756E: start &+ 4
    case 0x736C_6166: unsafe base[start &+ 4] == 0x65 ? start &+ 5 : unsure
    default: unsure
    }
  }

  static func number(_ base: UnsafePointer<UInt8>, _ start: Int) -> Int {
    unsafe unsigned(base, base[start] == 0x2D ? start &+ 1 : start)
  }

  /// A number behind its sign.
  @inline(__always)
  private static func unsigned(_ base: UnsafePointer<UInt8>, _ start: Int) -> Int {
    var i = start
    if unsafe base[i] == 0x30 {
      i &+= 1
    } else {
      let others = unsafe ByteSearch.nonDigits(base, i)
      i = others == 0 ? unsafe ByteSearch.endOfDigits(base, i &+ 8) : i &+ ByteSearch.offset(others)
      if i == start { return unsure }
      // The digits behind the point often end in the same word.
      let later = others & (others &- 1)
      if later != 0, unsafe base[i] == 0x2E {
        let stop = start &+ ByteSearch.offset(later)
        return stop > i &+ 1 ? unsafe exponent(base, stop) : unsure
      }
    }
    if unsafe base[i] == 0x2E {
      let digits = i &+ 1
      i = unsafe ByteSearch.endOfDigits(base, digits)
      if i == digits { return unsure }
    }
    return unsafe exponent(base, i)
  }

  /// Steps over an exponent, if there is one.
  @inline(__always)
  private static func exponent(_ base: UnsafePointer<UInt8>, _ start: Int) -> Int {
    guard unsafe base[start] | 0x20 == 0x65 else { return start }
    let sign = unsafe base[start &+ 1]
    let digits = sign == 0x2B || sign == 0x2D ? start &+ 2 : start &+ 1
    let i = unsafe ByteSearch.endOfDigits(base, digits)
    return i == digits ? unsure : i
  }

  // MARK: strings

  /// From the opening quote to after the closing one.
  @inline(__always)
  static func string(_ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
    let found = unsafe ByteSearch.stops(ByteSearch.word(base, start &+ 1))
    if found == 0 { return unsafe restOfString(base, start &+ 9, end) }
    let stop = start &+ 1 + ByteSearch.offset(found)
    if unsafe base[stop] == 0x22 { return stop < end ? stop &+ 1 : unsure }
    return unsafe restOfString(base, stop, end)
  }

  @inline(never)
  private static func restOfString(_ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
    var i = start
    while i < end {
      let found = unsafe ByteSearch.stops(ByteSearch.word(base, i))
      if found == 0 {
        i &+= 8
        while i < end, unsafe !ByteSearch.hasStop(base, i) { i &+= 32 }
        continue
      }
      i &+= ByteSearch.offset(found)
      let byte = unsafe base[i]
      if byte == 0x22 { return i < end ? i &+ 1 : unsure }
      if byte == 0x5C {
        i = unsafe escape(base, i)
      } else if byte >= 0x80 {
        let word = unsafe ByteSearch.word(base, i)
        // One character of two bytes, as in most European languages.
        if word & 0x80C0E0 == 0x0080C0, word & 0x1E != 0 { i &+= 2 } else { i = unsafe FastUTF8.run(base, i, end) }
      } else {
        return unsure
      }
      if i < 0 { return unsure }
    }
    return unsure
  }

  @inline(__always)
  private static func escape(_ base: UnsafePointer<UInt8>, _ at: Int) -> Int {
    switch unsafe base[at &+ 1] {
    case 0x22, 0x5C, 0x2F, 0x62, 0x66, 0x6E, 0x72, 0x74: return at &+ 2
    case 0x75:
      for i in at &+ 2..<at &+ 6 {
        let byte = unsafe base[i]
        guard byte &- 0x30 < 10 || (byte | 0x20) &- 0x61 < 6 else { return unsure }
      }
      return at &+ 6
    default: return unsure
    }
  }
}

/// Multibyte characters, by runs of one length: texts in one script are such runs.
enum FastUTF8 {
  /// Steps over the characters from `start`, the first of which is multibyte; plain characters between two of them included. Negative when one is wrong.
  @inline(never)
  static func run(_ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
    var i = start
    while i < end {
      let lead = unsafe base[i]
      if lead < 0x80 {
        // One plain character before the next multibyte one, as the space between two words is.
        guard unsafe base[i &+ 1] >= 0x80, lead >= 0x20, lead != 0x22, lead != 0x5C else { return i }
        i &+= 1
      } else if lead < 0xE0 {
        i = unsafe twoBytes(base, i, end)
      } else if lead < 0xF0 {
        i = unsafe threeBytes(base, i, end)
      } else {
        i = unsafe fourBytes(base, i)
      }
      if i < 0 { return i }
    }
    return i
  }

  @inline(__always)
  private static func twoBytes(_ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
    var i = start
    while i < end {
      let word = unsafe ByteSearch.word(base, i)
      let leads = word & 0x001E_001E_001E_001E
      if word & 0xC0E0_C0E0_C0E0_C0E0 == 0x80C0_80C0_80C0_80C0,
        (leads &- 0x0001_0001_0001_0001) & 0x8000_8000_8000_8000 == 0
      {
        i &+= 8
        continue
      }
      // At least the first is one; a lead of C0 or C1 would be an overlong form.
      if word & 0xC0E0 != 0x80C0 { return i == start ? -1 : i }
      if word & 0x1E == 0 { return -1 }
      i &+= 2
    }
    return i
  }

  @inline(__always)
  private static func threeBytes(_ base: UnsafePointer<UInt8>, _ start: Int, _ end: Int) -> Int {
    // The low halves of the leads that need no look at the second byte: all but E0 (overlong forms) and ED (surrogates).
    let plainLeads: UInt64 = 0b1101_1111_1111_1110
    var i = start
    while i < end {
      let word = unsafe ByteSearch.word(base, i)
      if word & 0xC0C0_F0C0_C0F0 == 0x8080_E080_80E0, (plainLeads >> (word & 15)) & (plainLeads >> (word >> 24 & 15)) & 1 == 1 {
        i &+= 6
        continue
      }
      if word & 0xC0C0F0 != 0x8080E0 { return i == start ? -1 : i }
      let value = (word & 0x0F) << 12 | (word >> 8 & 0x3F) << 6
      if value < 0x800 || value & 0xF800 == 0xD800 { return -1 }
      i &+= 3
    }
    return i
  }

  @inline(__always)
  private static func fourBytes(_ base: UnsafePointer<UInt8>, _ at: Int) -> Int {
    let word = unsafe ByteSearch.word(base, at)
    guard word & 0xC0C0_C0F8 == 0x8080_80F0 else { return -1 }
    let value = (word & 0x07) << 18 | (word >> 8 & 0x3F) << 12
    return value >= 0x10000 && value < 0x110000 ? at &+ 4 : -1
  }
}
