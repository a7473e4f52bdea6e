import CCurl
import Glibc
import POSIXSupport
import Testing

@testable import Models

/// What a wait that is on need not be told of, and what it must.
@Suite struct SocketWatchTests {
  private let wake: WakeDescriptor
  private let watch: SocketWatch

  init() throws {
    wake = try WakeDescriptor()
    watch = SocketWatch(waking: wake.descriptor)
  }

  private func pair() -> (here: Int32, there: Int32) {
    var ends: [Int32] = [-1, -1]
    unsafe #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
    return (ends[0], ends[1])
  }

  /// The sockets that a wait of no time sees, and those events.
  private func look() -> [Int32: Int32] {
    var waiting = watch.beginWait(until: .max)
    waiting.wait(atMostMilliseconds: 0)
    #expect(!watch.endWait(waiting))
    return Dictionary(uniqueKeysWithValues: watch.ready.map { ($0.descriptor, $0.events) })
  }

  @Test func `a connection that is used again is awaited already`() {
    let (here, there) = pair()
    watch.want(here, CURL_POLL_IN)
    watch.want(here, CURL_POLL_REMOVE)
    let waiting = watch.beginWait(until: 1000)
    #expect(!watch.isOutdated(by: 1000))
    watch.want(here, CURL_POLL_IN)
    #expect(!watch.isOutdated(by: 1000))
    #expect(watch.isOutdated(by: 999))
    watch.want(here, CURL_POLL_INOUT)
    #expect(watch.isOutdated(by: 1000))
    _ = watch.endWait(waiting)
    #expect(watch.isWanted(SocketWatch.Ready(descriptor: here, events: 0)))
    #expect(look() == [here: CURL_CSELECT_OUT])
    close(here)
    close(there)
  }

  @Test func `another socket with the number of one that was closed is not awaited`() {
    let (here, there) = pair()
    watch.want(here, CURL_POLL_IN)
    watch.want(here, CURL_POLL_REMOVE)
    let waiting = watch.beginWait(until: 1000)
    // The number passes to another socket at once, so that no other thread gets it.
    let (other, otherThere) = pair()
    dup2(other, here)
    watch.want(here, CURL_POLL_IN)
    #expect(watch.isOutdated(by: 1000))
    _ = watch.endWait(waiting)
    for socket in [here, there, other, otherThere] { close(socket) }
  }

  @Test func `a socket that was not wanted before is not awaited`() {
    let (here, there) = pair()
    let waiting = watch.beginWait(until: 1000)
    watch.want(here, CURL_POLL_IN)
    #expect(watch.isOutdated(by: 1000))
    _ = watch.endWait(waiting)
    // The next wait begins anew.
    _ = watch.endWait(watch.beginWait(until: 1000))
    #expect(!watch.isOutdated(by: 1000))
    close(here)
    close(there)
  }

  @Test func `a connection that rests and ends is seen once, and told to nobody`() {
    let (here, there) = pair()
    let (busy, busyThere) = pair()
    watch.want(here, CURL_POLL_IN)
    watch.want(busy, CURL_POLL_IN)
    #expect(look() == [:])
    watch.want(here, CURL_POLL_REMOVE)
    #expect(!watch.isWanted(SocketWatch.Ready(descriptor: here, events: 0)))
    close(there)
    #expect(look() == [:])
    var waiting = watch.beginWait(until: .max)
    waiting.wait(atMostMilliseconds: 0)
    #expect(waiting.seen == 0)
    _ = watch.endWait(waiting)
    watch.want(here, CURL_POLL_IN)
    #expect(watch.isOutdated(by: .max))
    // It is at its end, which libcurl sees itself.
    #expect(look() == [here: 0])
    close(busyThere)
    #expect(Set(look().keys) == [here, busy])
    close(here)
    close(busy)
  }

  @Test func `only so many connections that rest are kept`() {
    let pairs = (0..<40).map { _ in pair() }
    for (here, _) in pairs {
      watch.want(here, CURL_POLL_IN)
      watch.want(here, CURL_POLL_REMOVE)
    }
    for (_, there) in pairs { close(there) }
    var waiting = watch.beginWait(until: .max)
    waiting.wait(atMostMilliseconds: 0)
    #expect(waiting.seen == 16)
    _ = watch.endWait(waiting)
    #expect(watch.ready.isEmpty)
    for (here, _) in pairs { close(here) }
  }
}
