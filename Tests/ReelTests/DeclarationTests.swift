import Sealing
import Console
import Foundation
import Recording
import Testing

@testable import Commands

@Suite struct DeclarationTests {
    @Test func everyCommandHasHelpThatFits() throws {
        #expect(Program.commands.count >= 11)
        for command in Program.commands {
            let path = command.declaration.path
            guard case .help(let text) = try Program.declaration.parse(path + ["--help"], columns: 80) else {
                Issue.record("no help on \(path)")
                continue
            }
            #expect(text.hasPrefix("Usage: reel \(path.joined(separator: " "))"))
            #expect(text.contains("Examples:"), "\(path)")
            #expect(text.contains("Exit status:"), "\(path)")
            let prose = text.prefix { $0 != "E" }
            #expect(prose.split(separator: "\n").allSatisfy { $0.count <= 80 }, "\(path)")
        }
    }

    @Test func commandsAndTheirWordsAreUnique() {
        let names = Program.commands.map { $0.declaration.name }
        #expect(Set(names).count == names.count)
    }

    /// A default that breaks its own rule would make a command unusable without the option.
    @Test func defaultsFollowTheirRules() throws {
        for command in Program.commands
        where ![
            "record", "serve", "serve check", "proof", "proof check", "proof consistency",
            "proof consistency check", "partitions lift", "token", "bench bare", "bench live",
            "hold set", "hold lift", "durability accept",
        ].contains(command.declaration.name) {
            let places = command.declaration.name == "export" ? ["sess-1", "-o", "-"] : ["sess-1"]
            let takesPlace = ["sessions show", "chunks", "verify", "export", "keys export", "events"]
            let more =
                command.declaration.name == "parked show"
                ? ["store/p001/1-0"] : takesPlace.contains(command.declaration.name) ? places : []
            _ = try settings(command.declaration.path + more)
        }
        _ = try settings(["record", "-", "--name", "n"])
        _ = try settings(["proof", "sess-1", "7"])
        _ = try settings(["token", "--subject", "anna"])
        _ = try settings(["hold", "set", "sess-1", "--case", "c", "--reason", "r"])
        _ = try settings(["hold", "lift", "sess-1", "--reason", "r"])
        _ = try settings(["durability", "accept", "--reason", "r"])
        _ = try settings(["partitions", "lift", "p003", "--reason", "r"])
        _ = try settings(["proof", "check", "proof.json", "7.reel"])
        _ = try settings(["proof", "consistency", "sess-1", "--from", "7"])
        _ = try settings(["proof", "consistency", "check", "proof.json"])
        _ = try settings(["serve", "pipeline", "--redis-url", "redis://h", "--mongodb-url", "mongodb://h"])
        _ = try settings(["serve", "check", "--ready-file", "f"])
    }

    @Test func recordingsAreMadeFromSettings() throws {
        let given = try settings([
            "record", "-", "--name", "n", "--codec", "none", "--chunk-size", "0.25", "--no-encryption",
            "--tag",
            "a", "--tag", "b", "--session-id", "mine", "--rdp-host", "desk.example.org",
        ])
        let session = try RecordSettings.session(from: given, source: .stream)
        #expect(session.sessionID == "mine")
        #expect(session.capture.chunkSizeBytes == 262_144)
        #expect(!session.storage.encryptionEnabled)
        #expect(!session.storage.compressionEnabled)
        #expect(session.metadata.tags == ["a", "b"])
        #expect(session.rdp == .stated(host: "desk.example.org", username: nil))
    }

    @Test func whatNobodyStatesIsAbsent() throws {
        let given = try settings(["record", "-", "--name", "n", "--codec", "lz4"])
        let session = try RecordSettings.session(from: given, source: .file)
        #expect(session.rdp == nil)
        #expect(session.recording == .unstated(compression: "lz4"))
        let whole = try settings(["record", "-", "--name", "n", "--rdp-host", "h", "--rdp-user", "anna"])
        let desktop = try RecordSettings.session(from: whole, source: .file).rdp
        #expect(desktop?.username == "anna" && desktop?.port == nil && desktop?.useTLS == nil)
        #expect(throws: UsageError.self) {
            try RecordSettings.session(
                from: try settings(["record", "-", "--name", "n", "--rdp-user", "anna"]), source: .file)
        }
    }

    /// Whoever deploys goes by the document, and a log keeps its number of partitions for good.
    @Test func aNewLogHasThePartitionsThatTheDocumentNames() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let document = try String(
            contentsOf: root.appendingPathComponent("ops/docs/configuration.md"), encoding: .utf8)
        let line = try #require(
            document.firstMatch(
                of: #/\n- `REEL_PARTITIONS` \((\d+) with `reel up`, (\d+) with `reel serve`\):/#))
        #expect(try UpPlan(try settings(["up"])).system.partitions == Int(line.1))
        let urls = ["REDIS_URL": "redis://h", "MONGODB_URL": "mongodb://h"]
        let served = try ServePlan(try settings(["serve", "storage"], environment: urls)).system.partitions
        #expect(served ?? OpenSystem.usualPartitions == Int(line.2))
    }

    @Test func newSessionsGetNewIDs() throws {
        let given = try settings(["record", "-", "--name", "n"])
        let first = try RecordSettings.session(from: given, source: .stream).sessionID
        let second = try RecordSettings.session(from: given, source: .stream).sessionID
        #expect(first.hasPrefix("sess-"))
        #expect(first != second)
    }

    @Test(arguments: [
        (["--rdp-host", "a b"], "--rdp-host: must be a host name"),
        (Array(repeating: ["--tag", "t"], count: 11).flatMap { $0 }, "--tag: must have at most 10 tags"),
    ])
    func brokenRulesAreNamedAsOptions(arguments: [String], problem: String) throws {
        let given = try settings(["record", "-", "--name", "n"] + arguments)
        do {
            _ = try RecordSettings.session(from: given, source: .stream)
            Issue.record("accepted")
        } catch let error as UsageError {
            #expect(error.problems.contains { $0.hasPrefix(problem) }, "\(error.problems)")
        }
    }

    @Test(arguments: [
        ["--codec", "gzip", "--level", "10"], ["--codec", "lz4", "--level", "1"],
        ["--redis-url", "redis://h:99999"],
        ["--redis-url", "redis://h", "--redis-port", "7000"], ["--mongodb-url", "mongodb://u:p@"],
    ])
    func upRefusesWhatCannotBe(arguments: [String]) throws {
        let given = try settings(["up"] + arguments)
        #expect(throws: UsageError.self) { try UpPlan(given) }
    }

    @Test func upTakesLevelsForItsCodec() throws {
        let plan = try UpPlan(try settings(["up", "--codec", "gzip", "--level", "9", "--workers", "3"]))
        #expect(plan.system.levels == [.gzip: 9])
        #expect(plan.system.workers == 3)
        #expect(plan.system.chaining)
        #expect(try UpPlan(try settings(["up"])).system.levels.isEmpty)
    }

    @Test func upChecksEveryVariable() {
        for (name, value) in [("REEL_CHUNK_SIZE_MB", "0"), ("REEL_CODEC", "rar"), ("REEL_WORKERS", "none")] {
            #expect(throws: UsageError.self, "\(name)") { try settings(["up"], environment: [name: value]) }
        }
    }
}

/// The settings of a command line, with nothing but the given environment.
func settings(_ arguments: [String], environment: [String: String] = [:]) throws -> Settings {
    guard case .run(let invocation) = try Program.declaration.parse(arguments) else {
        throw UsageError(["no command"])
    }
    return try Settings(
        invocation, of: Program.declaration, environment: { environment[$0] }, file: .none)
}
