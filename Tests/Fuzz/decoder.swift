import AgentRuntime
import BridgeProtocol
import JSON

/// Gives whatever bytes the fuzzer comes up with to the decoders of what a client sends: each accepts or refuses with a pointer, and none crashes.
///
/// The first byte chooses the message; the rest is its params, or a tool result.
@c(LLVMFuzzerTestOneInput)
public func fuzzDecoder(_ data: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
  guard count > 1 else { return 0 }
  let text = unsafe Bytes(copying: UnsafeRawBufferPointer(start: data + 1, count: count - 1))
  guard let json = try? CarriedJSON(validating: text) else { return 0 }
  switch unsafe data.pointee % 12 {
  case 0: decode(Initialize.self, json)
  case 1: decode(RunStart.self, json)
  case 2: decode(RunSubmitToolResults.self, json)
  case 3: decode(RunResume.self, json)
  case 4: decode(RunList.self, json)
  case 5: decode(BlobWrite.self, json)
  case 6: decode(RunEvents.self, json)
  case 7: checkRun(json)
  case 8: checkResult(json)
  case 9: refusing { () throws(RuntimeError) in try RunAdmission.checkInput(json) }
  case 10: refusing { () throws(RuntimeError) in _ = try RunAdmission(tools: json, at: "/tools") }
  default: refusing { () throws(RuntimeError) in _ = try RunAdmission(limits: json, at: "/limits") }
  }
  return 0
}

private func decode<M: WireMethod>(_ method: M.Type, _ json: CarriedJSON) {
  do throws(JSONError) {
    try json.check(carrying: M.carriedPaths, limits: JSONLimits())
    _ = try JSONCoding.decode(M.Params.self, from: json, carrying: M.carriedPaths)
  } catch {
    if [.typeMismatch, .missingMember, .invalidValue].contains(error.code) {
      demand(error.pointer != nil, "a refusal without a pointer: \(error)")
    }
  }
}

private func checkRun(_ json: CarriedJSON) {
  refusing { () throws(RuntimeError) in
    _ = try RunAdmission(params: json)
    // What is admitted is read back from the log later on.
    do throws(RuntimeError) { _ = try RunParams(reading: json) } catch { demand(false, "admitted params cannot be read again") }
  }
}

private func checkResult(_ json: CarriedJSON) {
  refusing { () throws(RuntimeError) in
    let result = try ToolResult(reading: json)
    demand(result.byteCount >= 0, "a result of less than no bytes")
  }
}

private func refusing(_ body: () throws(RuntimeError) -> Void) {
  do throws(RuntimeError) { try body() } catch {
    if error.kind == .invalidParams { demand(error.pointer != nil, "a refusal without a pointer: \(error.message)") }
  }
}

private func demand(_ holds: Bool, _ what: String) {
  if !holds { fatalError(what) }
}
