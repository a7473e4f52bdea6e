/// Chance that repeats itself.
package struct Chance: RandomNumberGenerator {
  private var state: UInt64
  package init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 }

  package mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return (state ^ state >> 29) &* 0xBF58_476D_1CE4_E5B9
  }

  package mutating func below(_ bound: Int) -> Int { Int((next() >> 33) % UInt64(bound)) }
}
