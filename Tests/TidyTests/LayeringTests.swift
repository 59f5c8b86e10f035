import Testing

/// What each target may import (the table of layers in the design). Adapters never import each other;
/// only the executable puts them together.
private let layers: [String: Set<String>] = [
    "Arithmetic": [],
    "EventSourcing": ["Arithmetic", "CCrypto", "Glibc"],
    "Recording": ["Arithmetic", "EventSourcing"],
    "RedisLog": ["Arithmetic", "EventSourcing", "CHiredis", "Glibc", "Synchronization"],
    "Vault": [
        "Arithmetic", "CZstd", "CLZ4", "CZlib", "CSodium", "CCrypto", "Glibc", "Synchronization",
    ],
    "MongoViews": ["Arithmetic", "EventSourcing", "Recording", "CMongo", "Glibc", "Synchronization"],
    "SessionContent": ["Arithmetic", "EventSourcing", "Recording", "Vault"],
    "Intake": ["Arithmetic", "EventSourcing", "Recording", "Vault", "Supervision", "Synchronization"],
    "Pipeline": [
        "Arithmetic", "EventSourcing", "Intake", "Recording", "SessionContent", "Vault", "Supervision",
        "Glibc", "Synchronization",
    ],
    "Gateway": [
        "Arithmetic", "EventSourcing", "Intake", "Recording", "SessionContent", "Vault", "HTTPServer",
        "Access", "Metrics", "Supervision", "Glibc", "Synchronization",
    ],
    "GatewayFeed": ["EventSourcing", "Gateway", "HTTPServer", "Pipeline", "Recording", "Supervision"],
    "MediaProbe": [
        "Arithmetic", "CAvformat", "CPosix", "CSandbox", "EventSourcing", "Recording", "Supervision", "Glibc",
    ],
    "Metrics": ["Synchronization"],
    "HTTPServer": [
        "Arithmetic", "EventSourcing", "Metrics", "Supervision", "CMicrohttpd", "CGnuTLS", "CZlib", "Glibc",
        "Synchronization",
    ],
    "Access": ["Arithmetic", "EventSourcing", "CCrypto", "Glibc", "Synchronization"],
    "HTTPLoad": ["CPosix", "Supervision", "Glibc"],
    "Supervision": ["Arithmetic", "CPosix", "CStart", "Glibc", "Synchronization"],
    "EmbeddedServers": ["EventSourcing", "Supervision", "CMongo", "Glibc"],
    "Console": ["Arithmetic", "EventSourcing", "Glibc"],
    "Simulation": [
        "EventSourcing", "Intake", "Recording", "Pipeline", "SessionContent", "Supervision", "Vault",
        "Foundation", "Glibc", "Synchronization", "Dispatch",
    ],
    "TestServers": ["EmbeddedServers", "Supervision", "Foundation", "Glibc", "Synchronization"],
]

private let adapters: Set<String> = ["RedisLog", "Vault", "MongoViews", "Gateway", "Supervision"]

@Suite("Layers")
struct LayeringTests {
    private func imports(of file: SourceFile) throws -> [(Int, String)] {
        let pattern = try Regex(
            #"^\s*(?:@\w+(?:\(\w+\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?"#
                + #"import\s+(?:(?:struct|class|enum|protocol|func|var|let|typealias)\s+)?(\w+)"#,
            as: (Substring, Substring).self)
        return file.code.enumerated().compactMap { number, line in
            line.firstMatch(of: pattern).map { (number + 1, String($0.output.1)) }
        }
    }

    @Test("Every target stands in the table")
    func everyTarget() throws {
        let targets = Set(try SourceTree.folders(in: "Sources")).subtracting(["System", "reel"])
        #expect(targets.subtracting(layers.keys) == [])
    }

    @Test("No target imports what its layer may not", arguments: layers.keys.sorted())
    func imports(target: String) throws {
        let allowed = try #require(layers[target])
        for file in SourceTree.swift(under: "Sources/\(target)") {
            for (line, module) in try imports(of: file) where !allowed.contains(module) {
                Issue.record("\(file.path):\(line): \(target) may not import \(module)")
            }
        }
    }

    @Test("The table itself keeps adapters apart, and the core free of them")
    func table() {
        for adapter in adapters {
            let others = (layers[adapter] ?? []).intersection(adapters).subtracting([adapter])
            let known: Set<String> = adapter == "Gateway" ? ["Vault", "Supervision"] : []
            #expect(others.subtracting(known) == [], "\(adapter)")
        }
        for core in ["EventSourcing", "Recording", "Console"] {
            #expect((layers[core] ?? []).intersection(adapters) == [], "\(core)")
        }
    }

    @Test("Imports are found in all their forms")
    func forms() throws {
        let lines = [
            "import A", "public import B", "internal import C // why", "@testable import D",
            "@preconcurrency public import E", "import struct F.Point", "// import G", "let x = important",
            "@_implementationOnly import H", "    import I",
        ]
        let file = SourceFile(path: "x.swift", lines: lines)
        #expect(try imports(of: file).map(\.1) == ["A", "B", "C", "D", "E", "F", "H", "I"])
    }
}
