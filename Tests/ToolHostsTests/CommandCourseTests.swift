import Testing

@testable import ToolHosts

struct CommandCourseTests {
  private var course = CommandCourse(startedAt: 1000, timeoutMilliseconds: 5000)

  @Test mutating func `a command that ends by itself is killed with its group, and over with its output`() {
    #expect(course.next(at: 1000) == .wait(until: 6000))
    course.exited(at: 2000)
    #expect(course.next(at: 2001) == .kill)
    #expect(course.next(at: 2001) == .wait(until: 2101))
    course.endOutput()
    #expect(course.next(at: 2050) == .finish)
    #expect(course.interruption == nil)
  }

  @Test mutating func `output that is held open is waited for a moment only`() {
    course.exited(at: 2000)
    #expect(course.next(at: 2000) == .kill)
    #expect(course.next(at: 2099) == .wait(until: 2100))
    #expect(course.next(at: 2100) == .finish)
  }

  @Test mutating func `a command that closed its output goes on`() {
    course.endOutput()
    #expect(course.next(at: 2000) == .wait(until: 6000))
    course.exited(at: 2000)
    #expect(course.next(at: 2000) == .kill)
    #expect(course.next(at: 2000) == .finish)
  }

  @Test mutating func `past its time it is asked to end, and killed half a second later`() {
    #expect(course.next(at: 5999) == .wait(until: 6000))
    #expect(course.next(at: 6000) == .terminate)
    #expect(course.interruption == .timeout(milliseconds: 5000))
    #expect(course.next(at: 6000) == .wait(until: 6500))
    #expect(course.next(at: 6500) == .kill)
    #expect(course.next(at: 6500) == .wait(until: 7500))
    course.exited(at: 6501)
    #expect(course.next(at: 6501) == .wait(until: 6601))
    course.endOutput()
    #expect(course.next(at: 6502) == .finish)
  }

  @Test mutating func `a stop asks it to end at once`() {
    course.stop()
    #expect(course.next(at: 1500) == .terminate)
    #expect(course.interruption == .stop)
    course.stop()
    #expect(course.next(at: 1600) == .wait(until: 2000))
    course.exited(at: 1700)
    course.endOutput()
    #expect(course.next(at: 1700) == .kill)
    #expect(course.next(at: 1700) == .finish)
  }

  @Test mutating func `those of the group that hold the output have their time to end`() {
    course.stop()
    #expect(course.next(at: 1500) == .terminate)
    course.exited(at: 1501)
    #expect(course.next(at: 1501) == .wait(until: 2000))
    #expect(course.next(at: 2000) == .kill)
    #expect(course.next(at: 2000) == .wait(until: 2100))
    #expect(course.next(at: 2100) == .finish)
  }

  @Test mutating func `one that survives being killed is given up`() {
    course.stop()
    #expect(course.next(at: 1500) == .terminate)
    #expect(course.next(at: 2000) == .kill)
    #expect(course.next(at: 2999) == .wait(until: 3000))
    #expect(course.next(at: 3000) == .finish)
  }

  @Test mutating func `a stop after the end is none`() {
    course.exited(at: 2000)
    course.stop()
    #expect(course.interruption == nil)
    #expect(course.next(at: 9000) == .kill)
    #expect(course.interruption == nil)
  }

  @Test mutating func `the first reason counts`() {
    course.stop()
    #expect(course.next(at: 5900) == .terminate)
    #expect(course.next(at: 6100) == .wait(until: 6400))
    course.exceedOutput(of: .stdout)
    #expect(course.interruption == .stop)
  }

  @Test mutating func `too much output is killed without being asked`() {
    course.exceedOutput(of: .stderr)
    #expect(course.next(at: 1100) == .kill)
    #expect(course.interruption == .tooMuchOutput(of: .stderr))
  }

  @Test mutating func `too much output after the end is not the command's`() {
    course.exited(at: 1100)
    course.exceedOutput(of: .stdout)
    #expect(course.next(at: 1100) == .kill)
    #expect(course.interruption == nil)
  }

  @Test mutating func `the end of the bridge kills at once, also what was asked to end`() {
    course.stopAtOnce()
    #expect(course.next(at: 1100) == .kill)
    #expect(course.interruption == .stop)
    var other = CommandCourse(startedAt: 0, timeoutMilliseconds: 10)
    #expect(other.next(at: 10) == .terminate)
    other.stopAtOnce()
    #expect(other.next(at: 11) == .kill)
    #expect(other.interruption == .timeout(milliseconds: 10))
  }

  @Test func `the longest time is no time`() {
    var course = CommandCourse(startedAt: 1000, timeoutMilliseconds: .max)
    #expect(course.next(at: 1_000_000) == .wait(until: .max))
  }
}
