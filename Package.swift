// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

func system(_ name: String, pkgConfig: String? = nil) -> Target {
    .systemLibrary(name: name, path: "Sources/System/\(name)", pkgConfig: pkgConfig)
}

/// A room of the house: which floors may use which, and what each room may import, is in
/// Tests/TidyTests/LayeringTests.swift.
func room(_ floor: Floor, _ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(
        name: name, dependencies: dependencies, path: "Sources/\(floor.rawValue)/\(name)",
        swiftSettings: strict)
}

enum Floor: String {
    case core = "Core"
    case adapters = "Adapters"
    case edge = "Edge"
    case recording = "Domains/Recording"
    case program = "Program"
    case testing = "Testing"
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: strict)
}

let package = Package(
    name: "reel",
    products: [.executable(name: "reel", targets: ["reel"])],
    targets: [
        // System libraries, from Debian's -dev packages. hiredis has no pkgConfig here on purpose:
        // its .pc file carries a flag that the package manager refuses.
        system("CHiredis"),
        system("CMongo", pkgConfig: "libmongoc-1.0"),
        system("CZstd"),
        system("CLZ4"),
        system("CZlib"),
        system("CSodium"),
        system("CCrypto"),
        system("CMicrohttpd"),
        system("CGnuTLS"),
        system("CPosix"),
        // What has to happen before anything else in a process; not inline, because it is called by nobody.
        .target(name: "CStart", path: "Sources/System/CStart"),
        system("CSandbox"),
        // Loaded when a film is looked into, and never linked: see its shim.
        system("CAvformat"),

        // Core: what everything else is made of. It knows no domain.
        // Numbers that were read: arithmetic that never traps.
        room(.core, "Arithmetic"),
        // Vocabulary and ports: events, log, subscriptions, deciders. No I/O.
        room(.core, "EventSourcing", ["Arithmetic", "CCrypto"]),
        // Threads, child processes, locks on folders, signals.
        room(.core, "Supervision", ["Arithmetic", "CPosix", "CStart"]),

        // Adapters: ports of the core over servers and files. They never import each other.
        room(.adapters, "RedisLog", ["Arithmetic", "EventSourcing", "CHiredis"]),
        room(.adapters, "MongoViews", ["Arithmetic", "EventSourcing", "Recording", "CMongo"]),
        room(.adapters, "Vault", ["Arithmetic", "CZstd", "CLZ4", "CZlib", "CSodium", "CCrypto"]),

        // Edge: HTTP, tokens, figures, the command line as such. They know no domain.
        room(
            .edge, "HTTPServer",
            [
                "Arithmetic", "EventSourcing", "Metrics", "Supervision", "CMicrohttpd", "CGnuTLS", "CZlib",
            ]),
        room(.edge, "Access", ["Arithmetic", "EventSourcing", "CCrypto"]),
        room(.edge, "Metrics"),
        room(.edge, "Console", ["Arithmetic", "EventSourcing"]),

        // The domain of recorded sessions: its model, its work, its API.
        room(.recording, "Recording", ["Arithmetic", "EventSourcing"]),
        // What a session's log says and what its files hold, each checked against the other.
        room(.recording, "SessionContent", ["Arithmetic", "EventSourcing", "Recording", "Vault"]),
        // How chunks come in, from whatever source: place, spool, digest, admission, decision.
        room(.recording, "Intake", ["Arithmetic", "EventSourcing", "Recording", "Vault", "Supervision"]),
        // The runtime of workers and the stages, and the recorder of files and streams.
        room(
            .recording, "Pipeline",
            [
                "Arithmetic", "EventSourcing", "Intake", "Recording", "SessionContent", "Vault",
                "Supervision",
            ]),
        // The HTTP interfaces, over ports.
        room(
            .recording, "Gateway",
            [
                "Access", "Arithmetic", "EventSourcing", "HTTPServer", "Intake", "Metrics", "Recording",
                "SessionContent", "Supervision", "Vault",
            ]),
        // The gateway's followers on the runtime's reader of the log.
        room(
            .recording, "GatewayFeed",
            [
                "EventSourcing", "Gateway", "HTTPServer", "Pipeline", "Recording", "Supervision",
            ]),
        // Looks into films, in a process of its own.
        room(
            .recording, "MediaProbe",
            [
                "Arithmetic", "CAvformat", "CPosix", "CSandbox", "EventSourcing", "Recording",
                "Supervision",
            ]),

        // The program: what it keeps, measures and commands, and where all is put together.
        // The redis-server and the mongod that `reel up` keeps, and who may use them.
        room(.program, "EmbeddedServers", ["EventSourcing", "Supervision", "CMongo"]),
        // A client that measures HTTP servers.
        room(.program, "HTTPLoad", ["CPosix", "Supervision"]),
        .executableTarget(
            name: "reel",
            dependencies: [
                "Arithmetic", "EventSourcing", "Recording", "RedisLog", "SessionContent", "Vault",
                "Pipeline", "MongoViews", "Supervision", "EmbeddedServers", "Console", "Access", "Gateway",
                "MediaProbe", "GatewayFeed", "HTTPLoad", "HTTPServer", "Intake", "Metrics",
            ],
            path: "Sources/Program/reel", swiftSettings: strict),

        // In-memory back ends, contract suites, the simulated world, real servers for tests.
        room(
            .testing, "Simulation",
            [
                "EventSourcing", "Intake", "Recording", "Pipeline", "SessionContent", "Supervision",
                "Vault",
            ]),
        room(.testing, "TestServers", ["EmbeddedServers", "Supervision"]),

        tests("EventSourcingTests", ["Arithmetic", "EventSourcing", "Simulation"]),
        tests("RecordingTests", ["EventSourcing", "Recording", "Simulation"]),
        tests("RedisLogTests", ["EventSourcing", "RedisLog", "Simulation", "TestServers"]),
        tests("VaultTests", ["Simulation", "Vault"]),
        tests(
            "IntakeTests", ["EventSourcing", "Intake", "Recording", "Simulation", "Supervision", "Vault"]),
        tests(
            "PipelineTests",
            [
                "EventSourcing", "Intake", "Recording", "Pipeline", "SessionContent", "Vault", "Simulation",
                "RedisLog",
                "TestServers",
            ]),
        tests(
            "MongoViewsTests",
            [
                "EmbeddedServers", "EventSourcing", "Recording", "MongoViews", "Pipeline", "RedisLog",
                "Simulation", "Supervision", "TestServers",
            ]),
        tests("ConsoleTests", ["Console"]),
        tests("MetricsTests", ["Metrics"]),
        tests("AccessTests", ["Access", "EventSourcing"]),
        tests("HTTPServerTests", ["EventSourcing", "HTTPLoad", "HTTPServer", "Metrics", "Supervision"]),
        tests(
            "GatewayTests",
            [
                "Access", "EventSourcing", "Gateway", "GatewayFeed", "HTTPServer", "Intake", "Metrics",
                "Pipeline", "Recording", "SessionContent", "Simulation", "Supervision", "Vault",
            ]),
        tests(
            "ReelTests",
            [
                "reel", "Console", "EventSourcing", "HTTPServer", "Recording", "RedisLog", "SessionContent",
                "Simulation", "Supervision", "Pipeline", "TestServers", "Vault",
            ]),
        tests("MediaProbeTests", ["MediaProbe", "Recording"]),
        tests("SupervisionTests", ["EmbeddedServers", "Supervision", "TestServers"]),
        tests(
            "SimulationTests", ["EventSourcing", "Intake", "Pipeline", "Recording", "Simulation", "Vault"]),
        tests("FuzzTests", ["EventSourcing", "Pipeline", "RedisLog", "Simulation", "Vault"]),
        tests("SystemTests", ["TestServers", "Supervision"]),
        tests("TidyTests", []),
    ]
)
