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

func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: strict)
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

        // Numbers that were read: arithmetic that never traps.
        library("Arithmetic"),

        // The core: vocabulary, ports and the domain. No I/O.
        library("EventSourcing", ["Arithmetic", "CCrypto"]),
        library("Recording", ["Arithmetic", "EventSourcing"]),

        // Adapters. They never import each other.
        library("RedisLog", ["Arithmetic", "EventSourcing", "CHiredis"]),
        library("Vault", ["Arithmetic", "CZstd", "CLZ4", "CZlib", "CSodium", "CCrypto"]),
        library("MongoViews", ["Arithmetic", "EventSourcing", "Recording", "CMongo"]),

        // Looks into films, in a process of its own.
        library(
            "MediaProbe",
            ["Arithmetic", "CAvformat", "CPosix", "CSandbox", "EventSourcing", "Recording", "Supervision"]),

        // What a session's log says and what its files hold, each checked against the other.
        library("SessionContent", ["Arithmetic", "EventSourcing", "Recording", "Vault"]),

        // How chunks come in, from whatever source: place, spool, digest, admission, decision.
        library("Intake", ["Arithmetic", "EventSourcing", "Recording", "Vault", "Supervision"]),

        // The runtime of workers and the stages, and the recorder of files and streams.
        library(
            "Pipeline",
            [
                "Arithmetic", "EventSourcing", "Intake", "Recording", "SessionContent", "Vault",
                "Supervision",
            ]),

        // Threads, child processes, locks on folders, signals.
        library("Supervision", ["Arithmetic", "CPosix", "CStart"]),

        // The redis-server and the mongod that `reel up` keeps, and who may use them.
        library("EmbeddedServers", ["EventSourcing", "Supervision", "CMongo"]),

        // HTTP: the server layer without any path of its own, figures for Prometheus, tokens.
        library("Metrics"),
        library(
            "HTTPServer",
            ["Arithmetic", "EventSourcing", "Metrics", "Supervision", "CMicrohttpd", "CGnuTLS", "CZlib"]),
        library("Access", ["Arithmetic", "EventSourcing", "CCrypto"]),
        // A client that measures such servers.
        library("HTTPLoad", ["CPosix", "Supervision"]),

        // The services' HTTP interfaces, over ports; adapters are put together in `reel`.
        library(
            "Gateway",
            [
                "Access", "Arithmetic", "EventSourcing", "HTTPServer", "Intake", "Metrics", "Recording",
                "SessionContent", "Supervision", "Vault",
            ]),

        // The gateway's followers on the runtime's reader of the log.
        library(
            "GatewayFeed",
            ["EventSourcing", "Gateway", "HTTPServer", "Pipeline", "Recording", "Supervision"]),

        // The command line as such: arguments, settings, help, tables, progress. No I/O.
        library("Console", ["Arithmetic", "EventSourcing"]),

        // In-memory back ends, contract suites, real servers for tests.
        library(
            "Simulation",
            [
                "EventSourcing", "Intake", "Recording", "Pipeline", "SessionContent", "Supervision", "Vault",
            ]),
        library("TestServers", ["EmbeddedServers", "Supervision"]),

        .executableTarget(
            name: "reel",
            dependencies: [
                "Arithmetic", "EventSourcing", "Recording", "RedisLog", "SessionContent", "Vault", "Pipeline",
                "MongoViews", "Supervision", "EmbeddedServers", "Console", "Access", "Gateway", "MediaProbe",
                "GatewayFeed", "HTTPLoad", "HTTPServer", "Intake", "Metrics",
            ],
            swiftSettings: strict),

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
