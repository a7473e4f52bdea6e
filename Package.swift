// swift-tools-version: 6.2
import PackageDescription

/// The rules every Swift target follows: see "House rules" in Sources/README.md.
let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
]

/// The byte loops of `JSON` are two hundred times slower without the optimiser, so debug builds optimise that target too; the runtime, because its tests play
/// thousands of runs.
let optimisedInDebug: [SwiftSetting] = [.unsafeFlags(["-O"], .when(configuration: .debug))]

/// Debug builds can break a promise on purpose, for the tests of the campaigns (`Broken`).
let breakableInDebug: [SwiftSetting] = [.define("FOOTBRIDGE_BROKEN", .when(configuration: .debug))]

/// Swift's runtime, the C++ library under it and the three C libraries go into the program: finding their symbols at the start would double its time.
/// The price is that it has to be built again to get their updates. Its own symbols are exported to nobody: the runtime, as it begins, looks one up among them.
let staticRuntime = [
  "-static-stdlib", "-use-ld=lld", "-L", "\(Context.packageDirectory)/Sources/Footbridge/Linking", "-Xclang-linker", "-static-libgcc",
  "-Xlinker", "-z", "-Xlinker", "pack-relative-relocs", "-Xlinker", "--no-export-dynamic",
  // Functions that are used together lie together: a call over HTTP touches 466 pages of code, not 632. `Benchmarks/layout.py` writes the list.
  "-Xlinker", "--symbol-ordering-file=\(Context.packageDirectory)/Sources/Footbridge/Linking/order.txt",
  "-Xlinker", "--no-warn-symbol-ordering",
]

/// Functions that the linker can lay in an order, and in each of them the branches that are taken together, by what `Benchmarks/profile.py` counted. A function that
/// has changed since is compiled as one that was not counted. Only compilers that are known to read the file are given it.
#if compiler(>=6.3)
  let counts =
    Context.environment["FOOTBRIDGE_COUNT"] != nil
    ? ["-ir-profile-generate"] : ["-ir-profile-use=\(Context.packageDirectory)/Sources/Footbridge/Linking/counts.profdata"]
#else
  let counts: [String] = []
#endif
let layout: [SwiftSetting] = [
  .unsafeFlags(
    (["-function-sections"] + counts).flatMap { ["-Xfrontend", $0] } + ["-Xllvm", "-static-func-full-module-prefix=false"],
    .when(platforms: [.linux], configuration: .release))
]

/// The standard library's regular expressions stay out of the program: see `JSON/TextSearch.swift`.
let withoutPatterns: [SwiftSetting] = [.unsafeFlags(["-Xfrontend", "-disable-implicit-string-processing-module-import"])]

func library(_ name: String, _ dependencies: [Target.Dependency] = [], extra: [SwiftSetting] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: settings + withoutPatterns + layout + extra)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies + ["TestSupport"], swiftSettings: settings)
}

let package = Package(
  name: "footbridge",
  products: [
    .executable(name: "footbridge", targets: ["Footbridge"]),
    .library(name: "AgentRuntime", targets: ["FootbridgeKit"]),
  ],
  targets: [
    .systemLibrary(name: "CJansson", providers: [.apt(["libjansson-dev"]), .brew(["jansson"])]),
    .systemLibrary(name: "CSQLite", providers: [.apt(["libsqlite3-dev"]), .brew(["sqlite"])]),
    .systemLibrary(name: "CPCRE2", providers: [.apt(["libpcre2-dev"]), .brew(["pcre2"])]),
    .target(name: "CPOSIX"),
    // Gathers what SQLite writes to its log.
    .target(name: "CSQLiteLog", dependencies: ["CSQLite"]),
    // Loads libcurl when it is first needed: Debian's libcurl4-openssl-dev has the headers, libcurl4 the library.
    .target(name: "CCurl"),
    // Loads libpq when a store in PostgreSQL is named: Debian's libpq-dev has the headers, libpq5 the library.
    .target(name: "CPostgres"),
    .target(name: "CSchemas"),

    library("JSON", ["CJansson"], extra: optimisedInDebug),
    library("JSONSchema", ["JSON", "CPCRE2"], extra: optimisedInDebug),
    library("POSIXSupport", ["CPOSIX"]),
    library("JSONRPC", ["JSON", "POSIXSupport"]),
    library("AgentRuntime", ["JSON"], extra: optimisedInDebug),
    library("SQLiteStore", ["AgentRuntime", "JSON", "POSIXSupport", "CSQLite", "CSQLiteLog"], extra: breakableInDebug),
    library("PostgresStore", ["AgentRuntime", "JSON", "POSIXSupport", "CPostgres"]),
    library("Models", ["AgentRuntime", "JSON", "POSIXSupport", "CCurl"]),
    library("ToolHosts", ["AgentRuntime", "JSON", "JSONRPC", "POSIXSupport"]),
    library("BridgeProtocol", ["JSON"]),
    library("BridgeService", ["BridgeProtocol", "JSONRPC", "AgentRuntime", "JSON"]),
    library("EngineHosting", ["AgentRuntime", "JSON", "JSONSchema", "POSIXSupport"]),
    library("FootbridgeKit", ["AgentRuntime", "EngineHosting", "JSON", "Models", "POSIXSupport", "SQLiteStore", "ToolHosts"]),
    // Built by the test that runs it.
    .executableTarget(
      name: "SwiftTools", dependencies: ["FootbridgeKit"], path: "Examples/SwiftTools", exclude: ["plan.jsonl"], swiftSettings: settings),
    .executableTarget(
      name: "Footbridge",
      dependencies: [
        "AgentRuntime", "EngineHosting", "BridgeProtocol", "BridgeService", "CSchemas", "JSON", "JSONRPC", "JSONSchema", "Models",
        "POSIXSupport",
        "PostgresStore", "SQLiteStore", "ToolHosts",
      ],
      exclude: ["Linking"],
      swiftSettings: settings + withoutPatterns + layout + breakableInDebug,
      linkerSettings: [.unsafeFlags(staticRuntime, .when(platforms: [.linux]))]
    ),

    library("TestSupport", ["AgentRuntime", "JSON", "JSONRPC", "POSIXSupport"]),
    .executableTarget(
      name: "Simulation", dependencies: ["AgentRuntime", "JSON", "TestSupport"], path: "Tests/Simulation", swiftSettings: settings),
    tests("JSONTests", ["JSON"]),
    tests("AgentRuntimeTests", ["AgentRuntime", "JSON"]),
    tests("ModelsTests", ["Models", "AgentRuntime", "JSON", "POSIXSupport"]),
    tests("BridgeServiceTests", ["BridgeService", "BridgeProtocol", "JSONRPC", "AgentRuntime", "JSON", "POSIXSupport"]),
    tests("JSONSchemaTests", ["JSON", "JSONSchema"]),
    tests("POSIXSupportTests", ["POSIXSupport", "CPOSIX"]),
    tests("JSONRPCTests", ["JSON", "JSONRPC", "POSIXSupport"]),
    tests("SQLiteStoreTests", ["SQLiteStore", "AgentRuntime", "JSON", "POSIXSupport", "CSQLite", "CSQLiteLog"]),
    tests("PostgresStoreTests", ["PostgresStore", "AgentRuntime", "JSON", "POSIXSupport"]),
    tests("EngineHostingTests", ["EngineHosting", "AgentRuntime", "POSIXSupport"]),
    tests("FootbridgeKitTests", ["FootbridgeKit", "JSON", "POSIXSupport"]),
    tests("ToolHostsTests", ["ToolHosts", "AgentRuntime", "JSON", "JSONRPC", "POSIXSupport"]),
  ],
  swiftLanguageModes: [.v6]
)
