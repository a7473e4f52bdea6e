#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Plays seeds: `simulation [--seeds N] [--from SEED] [--twice] [--trace]`.
///
/// A seed that breaks a promise is named with the end of its trace; `--from SEED --seeds 1 --trace` shows all of it, the same in every run.
/// `--twice` plays each seed twice and compares the traces.
@main struct Main {
  static func main() {
    hashAlike()
    var seeds = 200
    var from: UInt64 = 1
    var isTwice = false
    var shows = false
    var arguments = CommandLine.arguments.dropFirst()
    while let argument = arguments.popFirst() {
      switch argument {
      case "--seeds": seeds = number(arguments.popFirst(), argument)
      case "--from": from = UInt64(number(arguments.popFirst(), argument))
      case "--twice": isTwice = true
      case "--trace": shows = true
      default: fail("unknown: \(argument)")
      }
    }
    var total = (steps: 0, commits: 0, deaths: 0, runs: 0)
    var digest: UInt64 = 0xCBF2_9CE4_8422_2325
    for seed in from..<from + UInt64(seeds) {
      let simulation = Simulation(seed: seed)
      simulation.play()
      if shows { for line in simulation.trace { print(line) } }
      if let violation = simulation.judge.violation {
        for line in simulation.trace.suffix(60) { print(line) }
        fail("seed \(seed): \(violation)")
      }
      if isTwice {
        let again = Simulation(seed: seed)
        again.play()
        if let place = zip(simulation.trace, again.trace).enumerated().first(where: { $0.element.0 != $0.element.1 })?.offset {
          fail("seed \(seed) is not the same twice, from line \(place) on: '\(simulation.trace[place])', then '\(again.trace[place])'")
        }
        if simulation.trace.count != again.trace.count { fail("seed \(seed) is not the same twice: one trace goes on longer") }
      }
      for line in simulation.trace { for byte in line.utf8 { digest = (digest ^ UInt64(byte)) &* 0x100_0000_01B3 } }
      total.steps += simulation.steps
      total.commits += simulation.judge.commits
      total.deaths += simulation.deaths
      total.runs += simulation.judge.runs.count
    }
    print(
      "\(seeds) seeds from \(from)\(isTwice ? ", each twice the same" : ""): \(total.runs) runs, \(total.steps) steps, \(total.commits) commits, "
        + "\(total.deaths) deaths, no promise broken; all traces together: \(String(digest, radix: 16))")
  }

  /// A dictionary's order is another one in each process, unless this is set before it begins: then a seed is the same everywhere.
  private static func hashAlike() {
    if unsafe getenv("SWIFT_DETERMINISTIC_HASHING") != nil { return }
    unsafe setenv("SWIFT_DETERMINISTIC_HASHING", "1", 1)
    var arguments = unsafe CommandLine.arguments.map { unsafe strdup($0) } + [nil]
    unsafe execv("/proc/self/exe", &arguments)
    fail("it cannot start itself again")
  }

  private static func number(_ text: String?, _ option: String) -> Int {
    guard let text, let number = Int(text), number >= 0 else { fail("\(option) takes a number") }
    return number
  }

  private static func fail(_ message: String) -> Never {
    print(message)
    exit(1)
  }
}
