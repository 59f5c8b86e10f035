import Engine
import Base
import EventSourcing
import Pipeline
import Recording
import Simulation
import Supervision
import Testing

/// Says of every session in the log that it may be due, a few at a time.
private final class EverySession: RetentionCandidates {
    let ids: [String]

    init(_ ids: [String]) { self.ids = ids.sorted() }

    func candidates(
        before now: Timestamp, behind last: RetentionCandidate?, limit: Int
    ) throws -> [RetentionCandidate] {
        ids.filter { $0 > last?.sessionID ?? "" }.prefix(limit).map {
            RetentionCandidate(sessionID: $0, keptUntil: Timestamp(milliseconds: 0))
        }
    }
}

@Suite("Deleting what was kept for long enough")
struct RetentionSweepTests {
    private static let day: Int64 = 86_400_000
    private static let start = Timestamp(milliseconds: 1_700_000_000_000)

    private let log = InMemoryEventLog(partitions: 4)

    /// A session that failed at the start of time; with `recording` it is still under way.
    private func make(
        _ id: String, days: Int = 1, tags: [String] = [], recording: Bool = false, cases: [String] = []
    ) throws {
        var created = SessionEvent.Created(
            sessionID: id, name: id, rdp: RDPConfig(host: "h", username: "u"),
            recording: RecordingConfig(), storage: StorageConfig(), metadata: SessionMetadata(),
            capture: CaptureConfig(source: .stream, chunkSizeBytes: 4096))
        created.storage.retentionDays = days
        created.metadata.tags = tags
        let handler = CommandHandler(
            session: id, store: try log.open(), clock: FixedClock(time: Self.start))
        let commands: [SessionCommand] =
            [.create(created), .start, .begin] + (recording ? [] : [.fail(error: "test")])
            + cases.map { .hold(caseName: $0, reason: "test") }
        try handler.handle(
            commands, id: "make", context: EventContext(source: "/test", actor: .system("test")))
    }

    private func status(_ id: String) throws -> SessionStatus? {
        let handler = CommandHandler(
            session: id, store: try log.open(), clock: FixedClock(time: Self.start))
        try handler.catchUp()
        return handler.state.status
    }

    private func sweep(
        _ member: String, now: Timestamp, _ deleted: @escaping (String) -> Void = { _ in }
    ) -> RetentionSweep {
        RetentionSweep(
            log: log, candidates: { EverySession([]) }, now: { now }, clock: FixedClock(time: now),
            member: member, report: .silent, onDeleted: { deleted($0.session.sessionID) })
    }

    private func pass(_ sweep: RetentionSweep, _ ids: [String], tagCounts: Bool = false) throws -> Int {
        try sweep.pass(
            try log.leases(), EverySession(ids),
            RetentionService(try log.open(), clock: FixedClock(time: Self.start)) { tagCounts }, StopSignal())
    }

    private func after(_ milliseconds: Int64) -> Timestamp {
        Timestamp(milliseconds: Self.start.milliseconds + milliseconds)
    }

    @Test("what is due goes, in the name of retention, once; everything else stays")
    func deletes() throws {
        // More than one batch of them.
        let due = (0..<230).map { "due-\($0)" }
        for id in due { try make(id) }
        try make("longer", days: 2)
        try make("held", cases: ["A", "B"])
        try make("recording", recording: true)
        let all = due + ["longer", "held", "recording", "absent"]
        let told = Lock<[String]>([])
        let early = sweep("a/0", now: after(Self.day)) { id in told.withLock { $0.append(id) } }
        #expect(try pass(early, all) == 0)
        let late = sweep("a/0", now: after(Self.day + 1)) { id in told.withLock { $0.append(id) } }
        #expect(try pass(late, all) == 230)
        #expect(Set(told.withLock { $0 }) == Set(due) && told.withLock(\.count) == 230)
        for id in due { #expect(try status(id) == .deleted) }
        #expect(try status("longer") == .failed && status("held") == .failed)
        #expect(try status("recording") == .recording)
        let events = log.allEvents().filter { $0.type == "SessionDeleted" }
        #expect(events.count == 230)
        #expect(events.allSatisfy { $0.context.actor == .system("retention") })
        // Again, nothing is left to do.
        #expect(try pass(late, all) == 0)
        #expect(log.allEvents().filter { $0.type == "SessionDeleted" }.count == 230)
    }

    @Test("one of several processes does it, until it ends")
    func owner() throws {
        try make("s")
        let now = after(3 * Self.day)
        #expect(try !log.leases().acquire("retention", [0], as: "b/0", forMilliseconds: 60_000).isEmpty)
        #expect(try pass(sweep("a/0", now: now), ["s"]) == 0)
        #expect(try status("s") == .failed)
        #expect(try pass(sweep("b/0", now: now), ["s"]) == 1)
    }

    @Test("a session goes when its last case is lifted, and not a moment before")
    func lifted() throws {
        try make("s", cases: ["A", "B"])
        let sweep = sweep("a/0", now: after(2 * Self.day))
        for name in ["A", "B"] {
            #expect(try pass(sweep, ["s"]) == 0)
            let handler = CommandHandler(
                session: "s", store: try log.open(), clock: FixedClock(time: Self.start))
            try handler.catchUp()
            try handler.handle(
                .liftHold(caseName: name, reason: "done"), id: "lift-\(name)",
                context: EventContext(source: "/test", actor: .system("test")))
        }
        #expect(try pass(sweep, ["s"]) == 1)
        #expect(try status("s") == .deleted)
    }

    @Test("the tag keeps a session as long as it counts, and no longer")
    func tagged() throws {
        try make("s", tags: ["legal-hold"])
        let sweep = sweep("a/0", now: after(2 * Self.day))
        #expect(try pass(sweep, ["s"], tagCounts: true) == 0)
        #expect(try pass(sweep, ["s"], tagCounts: false) == 1)
    }

    @Test("a hold that is set while the sweep looks at the session keeps it")
    func race() throws {
        var (held, gone) = (0, 0)
        for round in 0..<400 where round < 40 || held == 0 || gone == 0 {
            let id = "s\(round)"
            try make(id)
            let service = RetentionService(try log.open(), clock: FixedClock(time: Self.start))
            let holder = try OwnThread(name: "hold") { [log] in
                let handler = CommandHandler(
                    session: id, store: try log.open(), clock: FixedClock(time: Self.start))
                try handler.catchUp()
                _ = try? handler.handle(
                    .hold(caseName: "A", reason: "now"), id: "hold",
                    context: EventContext(source: "/test", actor: .system("test")))
            }
            let outcome = try service.expire(
                id, now: after(2 * Self.day), context: EventContext(source: "/t", actor: .system("t")))
            try holder.join()
            // Whoever was first: a session that is held is there, and one that is gone was never held.
            let types = log.allEvents().filter { $0.partitionKey == id }.map(\.type)
            #expect(types.contains("LegalHoldSet") != types.contains("SessionDeleted"), "\(types)")
            #expect(outcome?.isDeleted == types.contains("SessionDeleted"))
            if types.contains("SessionDeleted") { gone += 1 } else { held += 1 }
        }
        #expect(held > 0 && gone > 0, "\(held) held, \(gone) gone")
    }

    @Test("looking changes nothing and says why")
    func look() throws {
        try make("s")
        try make("held", cases: ["A"])
        let service = RetentionService(try log.open(), clock: FixedClock(time: Self.start))
        let found = try #require(try service.expire("s", now: after(2 * Self.day), context: nil))
        #expect(found.verdict == .due(since: after(Self.day)) && !found.isDeleted)
        #expect(
            try service.expire("held", now: after(2 * Self.day), context: nil)?.verdict == .held(cases: ["A"])
        )
        #expect(try service.expire("absent", now: after(2 * Self.day), context: nil) == nil)
        #expect(try status("s") == .failed)
    }

    @Test("a session that cannot be read keeps no other from going")
    func unreadable() throws {
        try make("a")
        try make("b")
        var strange = try #require(log.allEvents().last { $0.partitionKey == "a" }).event
        strange.id = "strange"
        strange.version = 99
        _ = try log.open().append([strange], to: "a", expecting: .any)
        #expect(try pass(sweep("a/0", now: after(2 * Self.day)), ["a", "b"]) == 1)
        #expect(try status("b") == .deleted)
    }
}

/// A clock that stands still.
private struct FixedClock: WallClock {
    let time: Timestamp
    func now() -> Timestamp { time }
}
