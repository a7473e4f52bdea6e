import JSON
import Testing

@testable import AgentRuntime

@Suite struct ToolkitTests {
  private func complaint(_ toolkit: Toolkit) -> String? {
    do throws(RuntimeError) {
      try toolkit.check(at: "/toolkits/0")
      return nil
    } catch { return "\(error.kind.name) \(error.pointer ?? "-"): \(error.message)" }
  }

  @Test func `a toolkit reads as it is written, with the bytes of its schemas`() throws {
    let text =
      #"{"name":"IDE","description":"d","startCollapsed":false,"systemPrompt":"s","functionResult":"f","tools":"#
      + #"[{"name":"a","description":"","inputSchema":{"default": 1.50,"x":1,"x":2},"toolkit":"IDE"}],"skills":"#
      + #"[{"name":"s","description":"d","functionResult":"r","systemPrompt":"p","references":[{"toolName":"a","toolkitName":"IDE"}]}]}"#
    let toolkit = piece(Toolkit.self, text, Toolkit.carriedPaths)
    #expect(toolkit.tools[0].schema == json(#"{"default": 1.50,"x":1,"x":2}"#))
    let reference = SkillReference(toolName: "a", toolkitName: "IDE")
    let skill = Skill(name: "s", description: "d", functionResult: "r", systemPrompt: "p", references: [reference])
    #expect(
      toolkit
        == Toolkit(
          name: "IDE", description: "d", startCollapsed: false, systemPrompt: "s", functionResult: "f", tools: toolkit.tools,
          skills: [skill]))
    #expect(try JSONCoding.encode(toolkit) == json(text))
    #expect(complaint(toolkit) == nil)
  }

  @Test func `a toolkit starts collapsed unless it says otherwise, and may leave a list out`() {
    let bare = piece(Toolkit.self, #"{"name":"a","description":""}"#, Toolkit.carriedPaths)
    #expect(bare == Toolkit(name: "a", description: ""))
    #expect(!bare.startsExpanded)
    #expect(!toolkit("a", [], #""startCollapsed":true"#).startsExpanded)
    #expect(toolkit("a", [], #""startCollapsed":false"#).startsExpanded)
  }

  @Test(
    "a toolkit that lacks a member is refused with its place",
    arguments: [
      (#"{"description":""}"#, "/name"), (#"{"name":"a"}"#, "/description"), (#"{"name":"a","description":"","tools":{}}"#, "/tools"),
      (#"{"name":"a","description":"","skills":[{"name":"s"}]}"#, "/skills/0/description"),
      (#"{"name":"a","description":"","skills":[{"name":"s","description":""}]}"#, "/skills/0/references"),
      (
        #"{"name":"a","description":"","skills":[{"name":"s","description":"","references":[{"name":"t"}]}]}"#,
        "/skills/0/references/0/toolName"
      ),
    ])
  func missing(text: String, pointer: String) {
    #expect(throws: RuntimeError.invalidParams("", at: pointer).kindAndPlace) {
      try kindAndPlace { () throws(RuntimeError) in
        _ = try RunParams.read(Toolkit.self, json(text), at: "", carrying: Toolkit.carriedPaths)
      }
    }
  }

  @Test(
    "a toolkit that is wrong in itself is refused with its name and place",
    arguments: [
      Wrong(
        [], [toolkit("a b", clients("x"))], "tool.invalid /toolkits/0/name: a toolkit's name must match ^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$"),
      Wrong([], [toolkit("a")], "tool.invalid /toolkits/0/tools: toolkit 'a' is empty: it needs a tool or a skill"),
      Wrong(
        [], [toolkit("a", clients("x", "y", "x"))], "tool.invalid /toolkits/0/tools/2/name: toolkit 'a': the tool name 'x' is there already"
      ),
      Wrong(
        [], [toolkit("a", [client("x"), server("x")])],
        "tool.invalid /toolkits/0/tools/1/name: toolkit 'a': the tool name 'x' is there already"
      ),
      Wrong(
        [], [toolkit("a", clients("a"))], "tool.invalid /toolkits/0/tools/0/name: toolkit 'a': the tool name 'a' is the toolkit's own name"),
      Wrong(
        [], [toolkit("a", clients("x"), #""skills":[{"name":"x","description":"","references":[]}]"#)],
        "tool.invalid /toolkits/0/skills/0/name: toolkit 'a': the skill name 'x' is there already"
      ),
      Wrong(
        [], [toolkit("a", [], #""skills":[{"name":"9","description":"","references":[]}]"#)],
        "tool.invalid /toolkits/0/skills/0/name: toolkit 'a': a skill's name must match ^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$"
      ),
      Wrong(
        [], [toolkit("a", [client("x", #""toolkit":"b""#)])],
        "tool.invalid /toolkits/0/tools/0/toolkit: tool 'x' stands in toolkit 'a' and names another one as its own"
      ),
      Wrong(
        [], [toolkit("a", clients("x y"))], "tool.invalid /toolkits/0/tools/0/name: a tool's name must match ^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$"
      ),
    ])
  func wrong(wrong: Wrong) {
    #expect(complaint(wrong.toolkits[0]) == wrong.complaint)
  }

  @Test func `members that nothing reads are named by pointer, extensions are not`() {
    let kit = json(
      #"{"name":"a","x-a":1,"colour":1,"tools":[{"name":"t","requireApproval":true,"toolkit":"a","annotations":{"idempotent":true}}],"#
        + #""skills":[{"name":"s","prompt":"","references":[{"toolName":"t","name":"t"}]}]}"#)
    let unknown = [
      "/colour", "/tools/0/requireApproval", "/tools/0/annotations/idempotent", "/skills/0/prompt", "/skills/0/references/0/name",
    ]
    #expect(Toolkit.unknownMembers(of: kit, at: "") == unknown)
    #expect(
      Augmentation.unknownMembers(
        of: json(#"{"injectToolkits":[\#(kit.bytes.string)],"x-b":1,"hideTool":[],"addContext":[{"key":"k","name":1}]}"#),
        at: "/augmentation")
        == ["/augmentation/hideTool"] + unknown.map { "/augmentation/injectToolkits/0" + $0 } + ["/augmentation/addContext/0/name"])
  }
}

/// Kind and place of an error, for comparing what is thrown.
struct KindAndPlace: Error, Equatable {
  var kind: RuntimeError.Kind
  var pointer: String?
}

extension RuntimeError {
  var kindAndPlace: KindAndPlace { KindAndPlace(kind: kind, pointer: pointer) }
}

func kindAndPlace(_ body: () throws(RuntimeError) -> Void) throws {
  do throws(RuntimeError) { try body() } catch { throw error.kindAndPlace }
}
