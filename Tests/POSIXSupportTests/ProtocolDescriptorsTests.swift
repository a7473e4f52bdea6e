import Glibc
import POSIXSupport
import Testing

struct ProtocolDescriptorsTests {
  @Test func `the protocol moves away, and strangers find nothing to read and the error stream to write to`() throws {
    let input = try FileDescriptor.pipe()
    let output = try FileDescriptor.pipe()
    let errors = try FileDescriptor.pipe()
    let claimed = try ProtocolDescriptors.claim(
      standardInput: input.readEnd.rawValue, standardOutput: output.writeEnd.rawValue, standardError: errors.writeEnd.rawValue)

    try input.writeEnd.writeAll("question")
    #expect(try input.readEnd.read(upTo: 16) == [])
    #expect(try claimed.input.read(upTo: 16) == Array("question".utf8))

    try output.writeEnd.writeAll("noise")
    try claimed.output.writeAll("answer")
    #expect(try errors.readEnd.read(upTo: 16) == Array("noise".utf8))
    #expect(try output.readEnd.read(upTo: 16) == Array("answer".utf8))

    let claimedNumbers = [claimed.input.rawValue, claimed.output.rawValue]
    #expect(claimedNumbers.map { fcntl($0, F_GETFD) & FD_CLOEXEC } == [FD_CLOEXEC, FD_CLOEXEC])
    #expect(claimedNumbers.map { fcntl($0, F_GETFL) & O_NONBLOCK } == [0, 0])
  }

  @Test func `closed ones are filled, and what is written to such an output fails`() throws {
    // Numbers that nobody has, far from those that other tests are given.
    let numbers: [Int32] = [901, 902, 903]
    let claimed = try ProtocolDescriptors.claim(standardInput: numbers[0], standardOutput: numbers[1], standardError: numbers[2])
    defer { for number in numbers { close(number) } }
    #expect(try claimed.input.read(upTo: 16) == [])
    let error = #expect(throws: SystemError.self) { try claimed.output.writeAll("answer") }
    #expect(error?.errno == EBADF)
    #expect(numbers.allSatisfy { fcntl($0, F_GETFD) >= 0 })
  }
}
