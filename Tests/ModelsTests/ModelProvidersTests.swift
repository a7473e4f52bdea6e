import JSON
import TestSupport
import Testing

@testable import AgentRuntime
@testable import Models

/// Which provider a model's name means, and what keeps it from being asked.
@Suite struct ModelProvidersTests {
  private func refusal(
    _ model: String, agent more: String = "", _ environment: [String: String] = [:], hasTools: Bool = false, parent: ParentAbilities? = nil
  ) throws -> String? {
    let models = ModelProviders(allowsScripts: true, environment: { environment[$0] }, version: "9", http: ScriptedHTTP())
    let agent = try Sample.agent(model, more)
    do throws(RuntimeError) {
      _ = try models.provider(for: agent, hasTools: hasTools, parent: parent)
      return nil
    } catch { return "\(error.kind.name) \(error.message)" }
  }

  @Test(arguments: [("anthropic", "ANTHROPIC_API_KEY"), ("openai", "OPENAI_API_KEY"), ("openai-responses", "OPENAI_API_KEY")])
  func `a key is needed, from the variable that the agent names`(provider: String, variable: String) throws {
    let missing = "model.missingKey \(variable) is not set in the bridge's environment"
    #expect(try refusal("\(provider):m") == missing)
    #expect(try refusal("\(provider):m", [variable: ""]) == missing)
    #expect(try refusal("\(provider):m", [variable: "k"]) == nil)
    #expect(
      try refusal("\(provider):m", agent: "\"apiKeyEnv\":\"MINE\"", [variable: "k"])
        == "model.missingKey MINE is not set in the bridge's environment")
    #expect(try refusal("\(provider):m", agent: "\"apiKeyEnv\":\"MINE\"", ["MINE": "k"]) == nil)
    for key in ["a\r\nx-evil: yes", "a b", "ü", "a\n", "\u{0}"] {
      #expect(try refusal("\(provider):m", [variable: key]) == "model.missingKey \(variable) holds characters that a key cannot have")
    }
  }

  @Test func `a base URL is one of http`() throws {
    for url in ["nonsense", "ftp://h/v1", "file:///etc/passwd", "http://", "https:/x", "http://h\r\nx", "http://h/ü"] {
      #expect(
        try refusal("openai:m", ["OPENAI_API_KEY": "k", "OPENAI_BASE_URL": url])
          == "model.unavailable OPENAI_BASE_URL is not an http or https URL", "\(url)")
    }
    for url in ["", "http://h", "HTTPS://h:1/v1/"] {
      #expect(try refusal("openai:m", ["OPENAI_API_KEY": "k", "OPENAI_BASE_URL": url]) == nil)
    }
  }

  @Test func `a parent is asked only for what it said it can do`() throws {
    let none = "unsupportedCapability a parent: model needs a client with the capability sampling"
    #expect(try refusal("parent:m") == none)
    var abilities = ParentAbilities()
    #expect(try refusal("parent:m", parent: abilities) == none)
    abilities.sampling = true
    #expect(try refusal("parent:m", parent: abilities) == nil)
    #expect(
      try refusal("parent:m", hasTools: true, parent: abilities)
        == "unsupportedCapability a parent: model with tools needs a client with the capability sampling.tools")
    abilities.samplingTools = true
    #expect(try refusal("parent:m", hasTools: true, parent: abilities) == nil)
  }

  @Test func `options and reasoning have their shapes`() throws {
    for model in ["openai:m", "anthropic:m", "openai-responses:m"] {
      let keys = ["OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"]
      #expect(try refusal(model, agent: "\"providerOptions\":[]", keys) == "invalidParams must be an object")
      #expect(try refusal(model, agent: "\"reasoning\":7", keys)?.hasPrefix("invalidParams must be an object such as") == true)
    }
    #expect(
      try refusal("Anthropic:m")
        == "model.unknownProvider there is no model provider 'Anthropic' in this release; there are: anthropic, openai, openai-responses, parent, script"
    )
  }

  @Test func `HTTP is made ready early only where there is a key`() {
    for (environment, wanted) in [([:], 0), (["OPENAI_API_KEY": ""], 0), (["OPENAI_API_KEY": "k"], 1), (["ANTHROPIC_API_KEY": "k"], 1)] {
      let http = ScriptedHTTP()
      ModelProviders(allowsScripts: true, environment: { environment[$0] }, version: "9", http: http).prepare()
      #expect(http.prepared == wanted)
    }
  }

  @Test func `a name may hold what it likes`() throws {
    #expect(
      try Sample.body("openai:meta/llama-3.1:70b@latest ü", [Sample.user("x")])["model"]?.stringValue == "meta/llama-3.1:70b@latest ü")
  }
}
