import JSON
import Testing

@testable import AgentRuntime

@Suite struct ULIDTests {
  @Test(
    "an id is read and written as the specification has it",
    arguments: [
      ("00000000000000000000000000", ULID(high: 0, low: 0)),
      ("7ZZZZZZZZZZZZZZZZZZZZZZZZZ", ULID(high: .max, low: .max)),
      ("01ARZ3NDEKTSV4RRFFQ69G5FAV", ULID(high: 0x0156_3E3A_B5D3_D676, low: 0x4C61_EFB9_9302_BD5B)),
      ("00000000000000000000000001", ULID(high: 0, low: 1)),
      ("0000000000000FZZZZZZZZZZZZ", ULID(high: 0, low: .max)),
    ])
  func known(text: String, id: ULID) {
    #expect(ULID(text) == id)
    #expect(id.text == text)
  }

  @Test func `every bit is written and read back`() {
    for bit in 0..<128 {
      let id = bit < 64 ? ULID(high: 0, low: 1 << UInt64(bit)) : ULID(high: 1 << UInt64(bit - 64), low: 0)
      #expect(ULID(id.text) == id, "bit \(bit)")
    }
  }

  @Test(
    "what is no id is not read",
    arguments: [
      "", "01ARZ3NDEKTSV4RRFFQ69G5FA", "01ARZ3NDEKTSV4RRFFQ69G5FAVX", "81ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAI",
      "01ARZ3NDEKTSV4RRFFQ69G5FAL", "01ARZ3NDEKTSV4RRFFQ69G5FAO", "01ARZ3NDEKTSV4RRFFQ69G5FAU", "01arz3ndektsv4rrffq69g5fav",
      "01ARZ3NDEKTSV4RRFFQ69G5FA\u{0}", "01ARZ3NDEKTSV4RRFFQ69G5Fé", " 1ARZ3NDEKTSV4RRFFQ69G5FAV",
    ])
  func refused(text: String) { #expect(ULID(text) == nil) }

  @Test func `ids sort by the time they were made, as texts too`() {
    let ids = [0, 1, 999, 1_795_168_800_000, 1_795_168_800_001, (1 << 48) - 1].map { ULID(milliseconds: $0, random: (.max, 0)) }
    #expect(ids == ids.sorted())
    #expect(ids.map(\.text) == ids.map(\.text).sorted())
    #expect(ids.map { Int($0.high >> 16) } == [0, 1, 999, 1_795_168_800_000, 1_795_168_800_001, (1 << 48) - 1])
  }
}

@Suite struct TimestampTests {
  @Test(
    "a time is written in UTC with milliseconds, and read back",
    arguments: [
      (0, "1970-01-01T00:00:00.000Z"), (1_795_168_800_000, "2026-11-20T10:00:00.000Z"), (951_782_399_999, "2000-02-28T23:59:59.999Z"),
      (951_868_799_001, "2000-02-29T23:59:59.001Z"), (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
      (1_709_251_199_010, "2024-02-29T23:59:59.010Z"), (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    ])
  func known(milliseconds: Int, text: String) {
    #expect(Timestamp(milliseconds: milliseconds).text == text)
    #expect(Timestamp(text: text) == Timestamp(milliseconds: milliseconds))
  }

  @Test(
    "a time that has no text of four digits is told as the last or the first one that has",
    arguments: [
      (253_402_300_800_000, "9999-12-31T23:59:59.999Z"), (300_000_000_000_000, "9999-12-31T23:59:59.999Z"),
      (Int.max, "9999-12-31T23:59:59.999Z"), (-1, "1970-01-01T00:00:00.000Z"), (Int.min, "1970-01-01T00:00:00.000Z"),
    ])
  func outside(milliseconds: Int, text: String) { #expect(Timestamp(milliseconds: milliseconds).text == text) }

  @Test func `a time that is too far away is the last one`() {
    let now = Timestamp(milliseconds: 1_795_168_800_000)
    #expect(now.adding(milliseconds: 60_000) == Timestamp(milliseconds: 1_795_168_860_000))
    #expect([300_000_000_000_000, Int.max].map(now.adding) == [.last, .last])
  }

  @Test func `every day of four centuries comes back`() {
    for day in 0..<146_097 {
      let time = Timestamp(milliseconds: day * 86_400_000 + 45_296_789)
      guard Timestamp(text: time.text) == time else {
        Issue.record("day \(day): \(time.text)")
        return
      }
    }
  }
}
