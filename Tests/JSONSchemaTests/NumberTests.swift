import Testing

@testable import JSONSchema

@Suite struct NumberTests {
  private func number(_ text: String) -> Number { Number(Array(text.utf8)) }

  @Test(arguments: [
    ("1", "1.0"), ("1", "10e-1"), ("0", "-0.0e5"), ("100", "1e2"), ("1e400", "10e399"), ("0.1", "1e-1"),
    ("9007199254740993", "9007199254740993.000"), ("1e-400", "0.1e-399"), ("12345678901234567890", "1234567890123456789e1"),
  ])
  func `numbers of the same value are equal however they are written`(a: String, b: String) {
    #expect(number(a) == number(b))
    #expect(number(a).hashValue == number(b).hashValue)
  }

  @Test func `numbers are ordered by their exact value`() {
    let ordered = [
      "-1e400", "-18446744073709551616", "-18446744073709551615", "-9007199254740993", "-9007199254740992", "-1.5", "-1.25", "-1e-400", "0",
      "1e-400", "0.1", "0.10000000000000001", "1", "1.5", "9007199254740992", "9007199254740992.5", "9007199254740993",
      "999999999999999999", "1000000000000000000", "9223372036854775807", "9223372036854775808", "18446744073709551615", "1e400",
    ].map(number)
    for (low, a) in ordered.enumerated() {
      for (high, b) in ordered.enumerated() {
        #expect((a < b) == (low < high), "\(a.text) < \(b.text)")
        #expect((a == b) == (low == high), "\(a.text) == \(b.text)")
      }
    }
  }

  @Test(arguments: [
    ("0.03", "0.01", true), ("19.99", "0.01", true), ("19.999", "0.01", false), ("1.1", "0.1", true), ("4.35", "0.05", true),
    ("1e308", "0.123456789", false), ("1e400", "3", false), ("9e400", "3", true), ("9007199254740993", "2", false),
    ("123456789012345678901234567890", "10", true), ("123456789012345678901234567890", "11", false),
    ("123456789012345678901234567890", "7", true), ("0", "7", true),
    ("-0.3", "0.1", true), ("7", "7e0", true), ("70", "7e2", false), ("1e1000000000000000000", "7", false),
    ("1e-1000000000000000000", "1", false), ("1e1000000000000000000000", "2", true), ("999999999999999999", "999999999999999999", true),
  ])
  func `a multiple is a multiple in decimal`(value: String, divisor: String, isMultiple: Bool) throws {
    #expect(try #require(Divisor(number(divisor))).divides(number(value)) == isMultiple)
    #expect(try accepts(#"{"multipleOf":\#(divisor)}"#, value) == isMultiple)
  }

  @Test(arguments: [
    ("1", true), ("1.0", true), ("1e400", true), ("1.5", false), ("15e-1", false), ("1e-400", false),
    ("123456789012345678901234567890", true),
    ("123456789012345678901234567890.1", false), ("1.5e1", true),
  ])
  func `an integer is a number without a fraction`(value: String, isInteger: Bool) throws {
    #expect(try accepts(#"{"type":"integer"}"#, value) == isInteger)
    #expect(try accepts(#"{"type":"number"}"#, value))
  }

  @Test(arguments: [
    ("1.50", "1.5"), ("-0.25", "-0.25"), ("1e2", "100"), ("1e400", "1e400"), ("-12.5e400", "-1.25e401"), ("0.000001", "0.000001"),
    ("1e-20", "1e-20"), ("12345678901234567890", "12345678901234567890"), ("12345678901234567890.5", "12345678901234567890.5"), ("-0", "0"),
  ])
  func `a limit is written plainly in a message`(text: String, written: String) {
    #expect(number(text).text == written)
  }

  @Test func `a limit of any number of digits can be written in a message`() {
    for count in [17, 18, 19, 39, 40, 41, 42, 400] {
      let digits = String(repeating: "7", count: count)
      #expect(number(digits).text == (count <= 40 ? digits : digits.prefix(1) + "." + digits.dropFirst() + "e\(count - 1)"))
      #expect(number("-" + digits + "e100").text == "-7." + digits.dropFirst() + "e\(count + 99)")
      #expect(number("0.\(digits)").text == "0." + digits)
      #expect(number("1.\(digits)").text == "1." + digits)
      #expect(number(digits + ".5").text == digits + ".5")
      #expect(number("0.0000000\(digits)").text == "7." + digits.dropFirst() + "e-8")
    }
  }

  @Test func `integers beyond a double compare exactly in a schema`() throws {
    #expect(try accepts(#"{"maximum":9007199254740992}"#, "9007199254740993") == false)
    #expect(try accepts(#"{"const":9007199254740993}"#, "9007199254740992") == false)
    #expect(try accepts(#"{"enum":[1.0]}"#, "1"))
    #expect(try accepts(#"{"uniqueItems":true}"#, "[9007199254740993,9007199254740992]"))
    #expect(try accepts(#"{"minLength":1e400}"#, #""x""#) == false)
    #expect(try accepts(#"{"maxLength":2.0}"#, #""xyz""#) == false)
    #expect(try accepts(#"{"const":1e1000000000001}"#, "1e1000000000002") == false)
    #expect(try accepts(#"{"const":1e1000000000001}"#, "10e1000000000000"))
    #expect(try accepts(#"{"minimum":-1e-99999999999999999999999}"#, "1e99999999999999999999999"))
  }
}
