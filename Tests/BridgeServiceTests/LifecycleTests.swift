import JSON
import TestSupport
import Testing

@Suite struct LifecycleTests {
  @Test(
    "initialize twice, or too late, is an invalid request whatever its params",
    arguments: ["", #","params":{}"#, #","params":{"protocolVersion":5}"#, #","params":[1]"#, #","params":{"a":1,"a":2}"#])
  func initializeAgain(params: String) throws {
    let first = try Bench { _ in .held }
    try first.initialize("{}")
    try first.send(#"{"id":1,"method":"initialize"\#(params)}"#)
    #expect(try first.receive()["error"]?["code"]?.intValue == -32600)
    let late = try Bench { _ in .held }
    try late.send(#"{"id":1,"method":"ping"}"#)
    _ = try late.receive()
    try late.send(#"{"id":2,"method":"initialize"\#(params)}"#)
    #expect(try late.receive()["error"]?["code"]?.intValue == -32600)
    // The first of all is told what is wrong with it.
    let wrong = try Bench { _ in .held }
    try wrong.send(#"{"id":1,"method":"initialize"\#(params)}"#)
    #expect(try wrong.receive()["error"]?["code"]?.intValue != -32600)
  }
}
