import Engine
import Base
import EventSourcing
import Pipeline
import Recording
import RedisLog
import Simulation
import Supervision
import TestServers
import Testing

/// Lines that roles wrote.
private final class Lines: Sendable {
    private let all = Lock<[String]>([])

    var list: [String] { all.withLock { $0 } }
    var report: RoleLog {
        RoleLog { level, text in if level != .debug { self.all.withLock { $0.append("\(level) \(text)") } } }
    }
}

@Suite("What an operator can put right is waited for", .timeLimit(.minutes(10)))
struct OperatorTests {
    private let server: TestRedis
    private let log: RedisEventLog
    private let lines = Lines()
    private let report: RoleLog
    private let plant: Plant

    init() throws {
        server = try TestRedis.start()
        try server.run("ACL", "SETUSER", "reel", "on", ">secret", "~*", "&*", "+@all")
        log = try RedisEventLog.open("redis://reel:secret@127.0.0.1:\(server.port)", createWith: 4)
        report = lines.report
        plant = try Plant(log, report: report)
        try plant.startWorkers([[.compress, .encrypt], [.validate, .store]])
        try plant.startCompletion()
    }

    /// Breaks something, waits until every kind of role says so, mends it, and records a session.
    private func check(
        _ session: String, says word: String, breaking: () throws -> Void, mending: () throws -> Void
    ) throws {
        try breaking()
        try eventually("all three roles wait, saying \(word)") {
            let waiting = report.outages.current.filter { $0.text.contains(word) }
            return Set(waiting.map(\.role)).isSuperset(of: ["compress", "validate", "completion"])
        }
        #expect(report.outages.current.allSatisfy { $0.remedy != .none })
        try mending()
        try plant.record(sampleBytes(30_000), as: session)
        try plant.wait(for: .completed, of: session)
        try eventually("nobody waits any more") { report.outages.current.isEmpty }
    }

    @Test("a password that is changed, while everything runs, and put right later")
    func password() throws {
        try check(
            "one", says: "refuses the user or the password",
            breaking: {
                try server.run("ACL", "SETUSER", "reel", "resetpass", ">other")
                try server.run("CLIENT", "KILL", "TYPE", "normal")
            }, mending: { try server.run("ACL", "SETUSER", "reel", "resetpass", ">secret") })
        // The same trouble is told once, whoever it meets, and that it is over.
        let told = lines.list.filter { $0.contains("refuses the user or the password") }
        #expect(told.filter { $0.contains("until it works") }.count == 1, "\(told)")
        #expect(lines.list.filter { $0.contains("works again") }.count >= 3)
    }

    @Test("a permission that is taken away and given back")
    func permission() throws {
        try check(
            "one", says: "lacks the permission +x",
            breaking: {
                try server.run("ACL", "SETUSER", "reel", "-xreadgroup", "-xread", "-xinfo", "-xpending")
            },
            mending: { try server.run("ACL", "SETUSER", "reel", "+@all") })
    }

    @Test("a server with too few connections to give")
    func connections() throws {
        let held = try (0..<3).map { _ in try Administrator(server.port) }
        try check(
            "one", says: "maxclients",
            breaking: {
                try held[0].say("CONFIG SET maxclients 3")
                try held[0].say("CLIENT KILL USER reel")
            }, mending: { try held[0].say("CONFIG SET maxclients 1000") })
    }

    @Test("keys that an operator has to make accessible park no chunk")
    func keys() throws {
        let keys = LockedKeys()
        // Without workers, which could be done with the chunk by then.
        let log = InMemoryEventLog(partitions: 1)
        let plant = try Plant(log)
        try plant.record(sampleBytes(30_000), as: "one")
        var vault = plant.vault
        vault.archive = keys
        let stage = try ChunkStage(
            chain: [.compress, .encrypt], log: log, vault: vault, levels: [:], clock: SystemClock())
        let event = try #require(try plant.events(of: "one").first { $0.type == "ChunkRecorded" })
        guard case .wait(_, let reason) = stage.handle(Delivery(event: event, attempt: 1)) else {
            return #expect(Bool(false), "the chunk does not wait")
        }
        #expect(reason.contains("not authorized"))
    }

    @Test("a recorder that waits is ended at once by its user, and names what it waited for")
    func recorder() throws {
        let stop = StopSignal()
        let waitedFor = Lock<String>("")
        let began = ContinuousClock.now
        let error = #expect(throws: RecordingFailure.self) {
            try plant.record(
                sampleBytes(400_000), as: "one", stop: stop,
                progress: { progress in
                    if progress.chunks == 2, progress.waitingFor == nil {
                        _ = try? server.run("ACL", "SETUSER", "reel", "-fcall")
                    }
                    guard let text = progress.waitingFor, text.contains("permission") else { return }
                    waitedFor.withLock { $0 = text }
                    stop.set()
                })
        }
        #expect(waitedFor.withLock { $0 }.contains("fcall"))
        #expect("\(try #require(error))".contains("fcall"))
        #expect(ContinuousClock.now - began < .seconds(30))
        try server.run("ACL", "SETUSER", "reel", "+@all")
        // What was acknowledged is there.
        #expect(try plant.state(of: "one").chunkCount == 2)
    }

    @Test("a recorder goes on when a permission is given back")
    func recorderGoesOn() throws {
        let waits = Lock(0)
        let bytes = sampleBytes(60_000)
        let summary = try plant.record(
            bytes, as: "one",
            progress: { progress in
                if progress.chunks == 2, waits.withLock({ $0 }) == 0 {
                    _ = try? server.run("ACL", "SETUSER", "reel", "-fcall")
                }
                guard progress.waitingFor?.contains("permission") == true else { return }
                waits.withLock { $0 += 1 }
                if waits.withLock({ $0 }) == 3 { _ = try? server.run("ACL", "SETUSER", "reel", "+@all") }
            })
        #expect(summary.bytes == 60_000)
        #expect(waits.withLock { $0 } >= 3)
        try plant.wait(for: .completed, of: "one")
        #expect(try plant.export("one") == bytes)
    }
}

/// A connection that stays open, and administers.
private final class Administrator {
    private let socket: LoopbackSocket

    init(_ port: UInt16) throws { socket = try LoopbackSocket(port: port, timeoutMilliseconds: 5_000) }

    func say(_ line: String) throws {
        try socket.send(Array("\(line)\r\n".utf8))
        _ = try socket.receive(3)
    }
}

/// Keys whose database refuses this process.
private final class LockedKeys: KeyArchive, KeyRecords {
    private struct Refused: TransientFailure, CustomStringConvertible {
        var remedy: Remedy { .operators }
        var description: String { "not authorized on reel_vault" }
    }

    func open() -> any KeyRecords { self }
    func keep(_ record: KeyRecord) throws -> KeyRecord { throw Refused() }
    func record(ofSession sessionID: String) throws -> KeyRecord? { throw Refused() }
    func destroy(ofSession sessionID: String) throws { throw Refused() }
}
