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
        // JSON, time, ids, digests, hexadecimal, waiting times, and arithmetic that never traps.
        room(.core, "Base", ["CCrypto"]),
        // Vocabulary and ports: events, log, subscriptions, deciders. No I/O.
        room(.core, "EventSourcing", ["Base"]),
        // Read models as views, pure: documents, folding, sums, what rebuilding is. No I/O.
        room(.core, "ReadModels", ["Base", "EventSourcing"]),
        // Threads, child processes, locks on folders, signals.
        room(.core, "Supervision", ["Base", "CPosix", "CStart"]),
        // Folders and files that are written whole and durably, without ever leaving the folder.
        room(.core, "Files", ["Base"]),
        // The runtime of workers and stages, leases, what can't be handled, and the live feed.
        room(.core, "Engine", ["Base", "EventSourcing", "ReadModels", "Supervision"]),

        // Adapters: ports of the core over servers and files. They never import each other.
        room(.adapters, "RedisLog", ["Base", "EventSourcing", "CHiredis"]),
        room(.adapters, "MongoViews", ["Base", "EventSourcing", "ReadModels", "CMongo"]),
        // Bytes under a name, written once: the port, and files as its first adapter.
        room(.adapters, "Blobs", ["Files"]),
        // Codecs, keys, sealed files and the archive's, Merkle trees.
        room(
            .adapters, "Sealing", ["Base", "CCrypto", "CLZ4", "CSodium", "CZlib", "CZstd", "Files"]),

        // Edge: HTTP, tokens, figures, the command line as such. They know no domain.
        room(.edge, "HTTPServer", ["Base", "Metrics", "Supervision", "CMicrohttpd", "CGnuTLS", "CZlib"]),
        room(.edge, "Access", ["Base", "CCrypto"]),
        // The frame of an API: who may, how often, records of it, errors, streams of events, health.
        room(
            .edge, "APIKit",
            [
                "Access", "Base", "Engine", "EventSourcing", "HTTPServer", "Metrics", "ReadModels",
                "Supervision",
            ]),
        // A domain as a value, and what it is hosted with.
        room(.edge, "Hosting", ["APIKit", "Access", "Base", "Console", "EventSourcing", "ReadModels"]),
        room(.edge, "Metrics", ["Base"]),
        room(.edge, "Console", ["Base"]),

        // The domain of recorded sessions: its model, its work, its API.
        room(.recording, "Recording", ["Access", "Base", "EventSourcing", "ReadModels"]),
        // What recorded sessions keep in MongoDB beyond their views: queries, wrapped keys, sealed passwords.
        room(
            .recording, "RecordingMongo",
            ["Access", "Base", "EventSourcing", "MongoViews", "ReadModels", "Recording"]),
        // The chunks' files: the store of sealed ones, their one reader, and the spool.
        room(.recording, "ChunkFiles", ["Base", "Blobs", "Files", "Sealing"]),
        // What a session's log says and what its files hold, each checked against the other.
        room(
            .recording, "SessionContent",
            ["Base", "EventSourcing", "Recording", "Blobs", "ChunkFiles", "Files", "Sealing"]),
        // How chunks come in, from whatever source: place, spool, digest, admission, decision.
        room(
            .recording, "Intake",
            ["Base", "EventSourcing", "Recording", "ChunkFiles", "Files", "Sealing", "Supervision"]),
        // The runtime of workers and the stages, and the recorder of files and streams.
        room(
            .recording, "Pipeline",
            [
                "Access", "Base", "Engine", "EventSourcing", "Intake", "ReadModels", "Recording",
                "SessionContent",
                "Blobs", "ChunkFiles", "Files", "Sealing",
                "Supervision",
            ]),
        // The HTTP interfaces, over ports.
        room(
            .recording, "Gateway",
            [
                "Access", "APIKit", "Base", "Engine", "EventSourcing", "HTTPServer", "Intake", "Metrics",
                "Pipeline", "ReadModels", "Recording", "SessionContent", "Supervision", "ChunkFiles", "Files",
                "Sealing",
            ]),
        // Looks into films, in a process of its own.
        room(
            .recording, "MediaProbe",
            [
                "Base", "CAvformat", "CPosix", "CSandbox", "Recording", "Supervision",
            ]),

        // The program: what it keeps, measures and commands, and where all is put together.
        // The redis-server and the mongod that `reel up` keeps, and who may use them.
        room(.program, "EmbeddedServers", ["Base", "Supervision", "CMongo"]),
        // A client that measures HTTP servers.
        room(.program, "HTTPLoad", ["CPosix", "Supervision"]),
        // What an operator looks at and decides: parked events, halted partitions, lag, what is spoiled.
        room(
            .program, "Operations",
            [
                "Base", "ChunkFiles", "Console", "EventSourcing", "Files", "MongoViews", "Pipeline",
                "Recording", "RecordingMongo", "RedisLog", "Sealing", "Supervision",
            ]),
        // How fast it is, against the bare servers and libraries in the same run.
        room(
            .program, "Bench",
            [
                "Base", "CCrypto", "CZstd", "Console", "Engine", "EventSourcing",
                "MongoViews", "Pipeline", "ReadModels", "Recording", "RedisLog", "Sealing", "Supervision",
            ]),
        // The commands, and where the parts are put together.
        room(
            .program, "Commands",
            [
                "APIKit", "Access", "Base", "Bench", "Console", "EmbeddedServers", "Engine", "EventSourcing",
                "Gateway", "HTTPLoad", "HTTPServer", "Hosting", "Intake", "MediaProbe", "Metrics",
                "MongoViews", "Operations", "Pipeline", "ReadModels", "Recording", "RecordingMongo",
                "RedisLog",
                "SessionContent", "Supervision", "ChunkFiles", "Files", "Sealing",
            ]),
        .executableTarget(
            name: "reel", dependencies: ["Commands"],
            path: "Sources/Program/reel", swiftSettings: strict),

        // In-memory back ends, contract suites, the simulated world, real servers for tests.
        room(
            .testing, "Simulation",
            [
                "Base", "EventSourcing", "Intake", "ReadModels", "Recording", "Engine", "Pipeline",
                "SessionContent",
                "Supervision", "Blobs", "ChunkFiles", "Files", "Sealing",
            ]),
        room(
            .testing, "TestServers",
            ["Base", "EmbeddedServers", "EventSourcing", "RedisLog", "Simulation", "Supervision"]),

        // A program that hosts a toy domain beside the recorded sessions; Tests/Interop/toy.py runs it.
        .executableTarget(
            name: "toyreel",
            dependencies: [
                "Access", "APIKit", "Base", "Commands", "Console", "EventSourcing", "Hosting", "HTTPServer",
                "ReadModels",
            ],
            path: "Tests/ToyReel", swiftSettings: strict),

        tests("BaseTests", ["Base"]),
        tests("EventSourcingTests", ["Base", "EventSourcing", "Simulation"]),
        tests(
            "EngineTests", ["Base", "Engine", "EventSourcing", "Simulation", "Supervision", "TestServers"]),
        tests(
            "RecordingTests", ["Access", "Base", "EventSourcing", "ReadModels", "Recording", "Simulation"]),
        tests("RedisLogTests", ["Base", "EventSourcing", "RedisLog", "Simulation", "TestServers"]),
        tests("StorageTests", ["Base", "Simulation", "Blobs", "ChunkFiles", "Files", "Sealing"]),
        tests(
            "IntakeTests",
            [
                "Base", "EventSourcing", "Intake", "Recording", "Simulation", "Supervision", "Blobs",
                "ChunkFiles", "Files", "Sealing",
            ]),
        tests(
            "PipelineTests",
            [
                "Base", "EventSourcing", "Recording", "Engine", "Pipeline", "SessionContent", "Blobs",
                "ChunkFiles", "Files", "Sealing",
                "Simulation", "RedisLog", "TestServers",
            ]),
        tests(
            "MongoViewsTests",
            [
                "Base", "EmbeddedServers", "EventSourcing", "ReadModels", "Recording", "RecordingMongo",
                "MongoViews", "Engine", "Pipeline",
                "RedisLog", "Simulation", "Supervision", "TestServers",
            ]),
        tests(
            "HostingTests",
            [
                "APIKit", "Base", "Console", "Engine", "EventSourcing", "HTTPServer", "Hosting", "ReadModels",
                "Simulation",
            ]),
        tests("ConsoleTests", ["Console"]),
        tests("MetricsTests", ["Metrics"]),
        tests("AccessTests", ["Base", "Access"]),
        tests("HTTPServerTests", ["Base", "HTTPLoad", "HTTPServer", "Metrics", "Supervision"]),
        tests(
            "GatewayTests",
            [
                "APIKit", "Base", "Access", "EventSourcing", "Gateway", "HTTPServer", "Intake",
                "Metrics", "Engine", "Pipeline", "ReadModels", "Recording", "SessionContent", "Simulation",
                "Supervision",
                "Blobs", "ChunkFiles", "Files", "Sealing",
            ]),
        tests(
            "ReelTests",
            [
                "Base", "Commands", "Console", "EventSourcing", "HTTPServer", "Recording", "RedisLog",
                "SessionContent", "Simulation", "Supervision", "Engine", "Pipeline", "TestServers", "Blobs",
                "ChunkFiles", "Files", "Sealing",
            ]),
        tests(
            "OperationsTests",
            [
                "Base", "ChunkFiles", "Engine", "EventSourcing", "Operations", "Pipeline", "Recording",
                "RedisLog", "Sealing", "SessionContent", "Simulation", "Supervision", "TestServers",
            ]),
        tests(
            "BenchTests",
            ["Bench", "EventSourcing", "Pipeline", "Recording", "RedisLog", "Simulation", "TestServers"]),
        tests("MediaProbeTests", ["MediaProbe", "Recording"]),
        tests("SupervisionTests", ["Base", "EmbeddedServers", "Supervision", "TestServers"]),
        tests(
            "SimulationTests",
            [
                "Base", "EventSourcing", "Intake", "Engine", "Pipeline", "Recording", "Simulation", "Blobs",
                "ChunkFiles", "Files", "Sealing",
            ]),
        tests(
            "FuzzTests",
            [
                "Base", "EventSourcing", "Engine", "Pipeline", "RedisLog", "Simulation", "Blobs",
                "ChunkFiles", "Files", "Sealing",
            ]),
        tests("SystemTests", []),
        tests("TidyTests", []),
    ]
)
