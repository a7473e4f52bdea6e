import BridgeService
import JSONRPC
import SQLiteStore

/// The options of protocol section 13, from the command line, the environment and a file, in this order of precedence.
struct Options: Sendable {
  /// Where runs are kept, or why that is not known: it stops nobody who needs no store.
  var store = DefaultStore.location
  var knownStore: StoreLocation? { try? store.get() }
  var synchronous = SQLiteStore.Synchronous.full
  var adopts = false
  var isStrict = false
  var allowsCommands = true
  var framing = Framing.auto
  var onEOF = OnEOF.auto
  var protocolVersion: String?
  var maxMessageBytes = 256 << 20
  var maxConcurrentRuns = 1024
  /// The folder of agents in files.
  var agents: String?
  /// Where the turns of real models are written down.
  var record: String?
  var logLevel = Log.Level.info
  var logFormat = Log.Format.text

  /// An option as it is written: `--name VALUE`, `FOOTBRIDGE_NAME`, or `"name"` in a file.
  struct Known: Sendable {
    var name: String
    var variable: String
    /// What the value is, for help; nil for a switch.
    var value: String?
    var help: String
    var apply: @Sendable (inout Options, String) throws(OptionError) -> Void

    init(
      _ name: String, _ variable: String, _ value: String?, _ help: String,
      apply: @escaping @Sendable (inout Options, String) throws(OptionError) -> Void
    ) {
      self.name = name
      self.variable = variable
      self.value = value
      self.help = help
      self.apply = apply
    }
  }

  static let known: [Known] = [
    Known("store", "FOOTBRIDGE_STORE", "sqlite:PATH | postgresql://... | memory", "where runs are kept") {
      (o, v) throws(OptionError) in
      o.store = .success(try StoreLocation(v))
    },
    Known(
      "synchronous", "FOOTBRIDGE_SYNCHRONOUS", "full | normal", "normal survives a crash of the process, full also a power cut"
    ) { (o, v) throws(OptionError) in
      o.synchronous = try OptionValues.word(v)
    },
    Known("adopt", "FOOTBRIDGE_ADOPT", nil, "take up runs that a dead process left") { (o, v) throws(OptionError) in
      o.adopts = try OptionValues.flag(v)
    },
    Known("strict", "FOOTBRIDGE_STRICT", nil, "refuse unknown members of agents, tools and limits") { (o, v) throws(OptionError) in
      o.isStrict = try OptionValues.flag(v)
    },
    Known("no-commands", "FOOTBRIDGE_NO_COMMANDS", nil, "refuse command tools, MCP servers and scripts") { (o, v) throws(OptionError) in
      o.allowsCommands = try !OptionValues.flag(v)
    },
    Known("framing", "FOOTBRIDGE_FRAMING", "auto | line | header", "how messages are told apart") { (o, v) throws(OptionError) in
      o.framing = try OptionValues.word(v)
    },
    Known("on-eof", "FOOTBRIDGE_ON_EOF", "auto | drain | exit", "what the end of stdin means") { (o, v) throws(OptionError) in
      o.onEOF = try OptionValues.word(v)
    },
    Known(
      "protocol", "FOOTBRIDGE_PROTOCOL", "VERSION", "the protocol version for a client that skips initialize"
    ) { (o, v) throws(OptionError) in
      o.protocolVersion = try OptionValues.protocolVersion(v)
    },
    Known("max-message-bytes", "FOOTBRIDGE_MAX_MESSAGE_BYTES", "N", "longest message that is read") { (o, v) throws(OptionError) in
      o.maxMessageBytes = try OptionValues.number(v, atLeast: 1024)
    },
    Known("max-concurrent-runs", "FOOTBRIDGE_MAX_CONCURRENT_RUNS", "N", "runs driven at once") { (o, v) throws(OptionError) in
      o.maxConcurrentRuns = try OptionValues.number(v, atLeast: 1)
    },
    Known("agents", "FOOTBRIDGE_AGENTS", "FOLDER", "agents in files: NAME.json is the agent with the id NAME") {
      (o, v) throws(OptionError) in
      guard !v.isEmpty else { throw OptionError("needs a folder") }
      o.agents = v
    },
    Known("record", "FOOTBRIDGE_RECORD", "FILE", "write the turns of models to a script that script:FILE replays") {
      (o, v) throws(OptionError) in
      guard !v.isEmpty else { throw OptionError("needs a file") }
      o.record = v
    },
    Known("log-level", "FOOTBRIDGE_LOG_LEVEL", "debug | info | warning | error", "what is logged to stderr") { (o, v) throws(OptionError) in
      o.logLevel = try OptionValues.word(v)
    },
    Known("log-format", "FOOTBRIDGE_LOG_FORMAT", "text | json", "how it is logged") { (o, v) throws(OptionError) in
      o.logFormat = try OptionValues.word(v)
    },
  ]
}
