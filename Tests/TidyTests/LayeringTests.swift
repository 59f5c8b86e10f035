import Testing

/// The floors of the house, and the floors whose rooms each may use. Adapters never use each other: the
/// program alone puts them together.
private let floors: [String: Set<String>] = [
    "Core": ["Core"],
    "Adapters": ["Core"],
    "Edge": ["Core", "Edge"],
    "Domains/Recording": ["Core", "Adapters", "Edge", "Domains/Recording"],
    "Program": ["Core", "Adapters", "Edge", "Domains/Recording", "Program"],
    "Testing": ["Core", "Adapters", "Edge", "Domains/Recording", "Program", "Testing"],
]

/// What is still to be moved: the read models' adapter knows the one domain that there is.
private let exceptions: [String: Set<String>] = ["MongoViews": ["Recording"]]

/// What each room may import.
private let layers: [String: Set<String>] = [
    "Base": ["CCrypto", "Glibc", "Synchronization"],
    "EventSourcing": ["Base"],
    "Engine": ["Base", "EventSourcing", "Supervision", "Synchronization"],
    "Recording": ["Base", "EventSourcing"],
    "RedisLog": ["Base", "EventSourcing", "CHiredis", "Glibc", "Synchronization"],
    "Vault": ["Base", "CCrypto", "CLZ4", "CSodium", "CZlib", "CZstd", "Glibc"],
    "MongoViews": ["Base", "EventSourcing", "Recording", "CMongo", "Glibc"],
    "SessionContent": ["Base", "EventSourcing", "Recording", "Vault"],
    "Intake": ["Base", "EventSourcing", "Recording", "Supervision", "Vault", "Synchronization"],
    "Pipeline": [
        "Base", "Engine", "EventSourcing", "Intake", "Recording", "SessionContent", "Supervision", "Vault",
        "Glibc", "Synchronization",
    ],
    "Gateway": [
        "Base", "Access", "EventSourcing", "HTTPServer", "Intake", "Metrics", "Recording",
        "SessionContent", "Supervision", "Vault",
    ],
    "GatewayFeed": [
        "Engine", "EventSourcing", "Gateway", "HTTPServer", "Pipeline", "Recording", "Supervision",
    ],
    "MediaProbe": ["Base", "Recording", "Supervision", "CAvformat", "CPosix", "CSandbox", "Glibc"],
    "Metrics": ["Base", "Synchronization"],
    "HTTPServer": [
        "Base", "Metrics", "Supervision", "CGnuTLS", "CMicrohttpd", "CZlib", "Glibc", "Synchronization",
    ],
    "Access": ["Base", "CCrypto", "Glibc", "Synchronization"],
    "HTTPLoad": ["Supervision", "CPosix", "Glibc"],
    "Supervision": ["Base", "CPosix", "CStart", "Glibc"],
    "EmbeddedServers": ["Base", "Supervision", "CMongo", "Glibc"],
    "Console": ["Base"],
    "Simulation": [
        "Base", "Engine", "EventSourcing", "Intake", "Pipeline", "Recording", "SessionContent", "Supervision",
        "Vault", "Foundation", "Glibc",
    ],
    "TestServers": [
        "Base", "EmbeddedServers", "EventSourcing", "RedisLog", "Simulation", "Supervision", "Foundation",
        "Glibc", "Synchronization",
    ],
]

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

    @Test("Every room stands in the table, and on a floor that there is")
    func everyRoom() throws {
        #expect(Set(SourceTree.rooms.keys).subtracting(["reel"]) == Set(layers.keys))
        #expect(Set(SourceTree.floors) == Set(floors.keys))
        let known = Set(floors.keys.map { String($0.prefix { $0 != "/" }) } + ["System"])
        #expect(Set(try SourceTree.folders(in: "Sources")) == known)
    }

    @Test("No room imports what it may not", arguments: layers.keys.sorted())
    func imports(room: String) throws {
        let allowed = try #require(layers[room])
        let files = SourceTree.swift(ofRoom: room)
        #expect(!files.isEmpty)
        for file in files {
            for (line, module) in try imports(of: file) where !allowed.contains(module) {
                Issue.record("\(file.path):\(line): \(room) may not import \(module)")
            }
        }
    }

    @Test("The table lets each room use rooms of its own floor and of those below alone")
    func table() {
        let rooms = SourceTree.rooms
        for (room, imports) in layers {
            let allowed = floors[rooms[room] ?? ""] ?? []
            let above = imports.subtracting(exceptions[room] ?? []).filter { module in
                rooms[module].map { !allowed.contains($0) } ?? false
            }
            #expect(above == [], "\(room)")
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
