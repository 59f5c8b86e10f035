import ChunkFiles
import Engine
import Base
import EventSourcing
import Foundation
import Recording
import SessionContent
import Simulation
import Supervision
import Testing

@testable import Pipeline

/// The machine's time, moved forward as the test wants.
private final class MovedClock: WallClock {
    private let ahead_ms = Lock<Int64>(0)

    func now() -> Timestamp { SystemClock().now().advanced(byMilliseconds: ahead_ms.withLock { $0 }) }
    func move(_ milliseconds: Int64) { ahead_ms.withLock { $0 += milliseconds } }
}

/// A plant with its index of verifications, and a clock that says what the test wants.
private final class Scene {
    static let period_ms: Int64 = 30 * 86_400_000

    let plant: Plant
    let counts = VerificationCounts()
    let figures = VerificationFigures()
    let told = Lock<[VerifiedSession]>([])
    private let stop = StopSignal()
    private let thread: OwnThread<Void>
    private let clock = MovedClock()

    init() throws {
        plant = try Plant(InMemoryEventLog(partitions: 2, clock: clock))
        try plant.startWorkers([StageName.allCases])
        try plant.startCompletion()
        let worker = FactWorker(
            VerificationFacts.self, log: plant.log, member: "\(ULID.make(at: SystemClock().now()))/0",
            report: .silent, hear: counts.take)
        // Used on its thread alone.
        nonisolated(unsafe) let lent = worker
        thread = try OwnThread(name: "index") { [stop] in try lent.run(stop: stop) }
    }

    deinit {
        stop.set()
        _ = thread.wait(milliseconds: 10_000)
    }

    func record(_ session: String) throws {
        try plant.record(sampleBytes(9_000), as: session)
        try plant.wait(for: .completed, of: session)
    }

    func later(_ milliseconds: Int64) { clock.move(milliseconds) }

    func facts(_ session: String) throws -> VerificationFacts? {
        let partition = try plant.log.open().partitioning.partition(of: session)
        return try FactIndex<VerificationFacts>(plant.log).facts(of: [session], in: partition)[session]
    }

    /// One look at what is due; answers the sessions that were verified.
    func pass(_ member: String = "a/0") throws -> [String] {
        told.withLock { $0 = [] }
        let vault = plant.vault
        let clock = clock
        let sweep = VerificationSweep(
            log: plant.log,
            parts: VerificationSweep.Parts(
                chunks: vault.chunks, keys: { try vault.openKeys() },
                now: { clock.now() },
                onVerified: { verified in self.told.withLock { $0.append(verified) } }),
            policy: VerificationPolicy(period_ms: Self.period_ms, diskShare: 1), clock: SystemClock(),
            member: member, figures: figures, report: .silent)
        _ = try sweep.pass(FactIndex<VerificationFacts>(plant.log), try plant.log.open(), StopSignal())
        return told.withLock { $0.map(\.report.sessionID) }
    }

    func verifications(of session: String) throws -> [SessionEvent.Verified] {
        try plant.events(of: session).compactMap {
            guard case .session(.verified(let verified)) = try RecordingEvent($0) else { return nil }
            return verified
        }
    }

    /// A verification that somebody asked for.
    func verify(_ session: String, withKey: Bool = true) throws -> VerifiedSession? {
        let vault = plant.vault
        let verifier = SessionVerifier(
            store: try plant.log.open(), chunks: vault.chunks,
            keys: { withKey ? try vault.openKeys() : nil }, clock: SystemClock())
        return try verifier.verify(
            session, .command, context: EventContext(source: "/test", actor: .system("test")),
            stop: StopSignal())
    }
}

@Suite("Sessions verified in the background")
struct VerificationSweepTests {
    @Test("each once in its time, damage too, and each look stays in the history; the next is a period later")
    func sweeps() throws {
        let scene = try Scene()
        for name in ["a", "b"] { try scene.record(name) }
        try eventually("facts") { try scene.facts("a")?.isOver == true && scene.facts("b")?.isOver == true }
        #expect(try scene.pass() == [])
        try FileManager.default.removeItem(atPath: scene.plant.vault.chunks.path(session: "b", sequence: 2))
        scene.later(Scene.period_ms)
        #expect(Set(try scene.pass()) == ["a", "b"])
        #expect(try scene.verifications(of: "a").map(\.outcome) == [.sound])
        let damaged = try #require(try scene.verifications(of: "b").last)
        #expect(damaged.outcome == .damaged && damaged.trigger == .background)
        #expect(damaged.findings.contains { $0.hasPrefix("missing b/00000002.reel") }, "\(damaged.findings)")
        try eventually("the facts are faulty") { try scene.facts("b")?.outcome == .damaged }
        #expect(try FaultySessions(scene.plant.log).find().named.map(\.sessionID) == ["b"])
        try eventually("they are counted") { scene.counts[.damaged] == 1 && scene.counts[.sound] == 1 }
        #expect(try scene.pass() == [])
        scene.later(Scene.period_ms)
        #expect(Set(try scene.pass()) == ["a", "b"])
        #expect(try scene.plant.audit("a").outcome == .sound)
    }

    @Test("a look that only hashed does not put the next one off, and one at the contents does")
    func looks() throws {
        let scene = try Scene()
        try scene.record("a")
        #expect(try scene.verify("a", withKey: false)?.isRecorded == true)
        try eventually("it is known") { try scene.facts("a")?.outcome == .unopened }
        let before = try #require(try scene.facts("a"))
        #expect(try scene.verify("a")?.report.outcome == .sound)
        try eventually("it is known") { try scene.facts("a")?.outcome == .sound }
        #expect(try #require(try scene.facts("a")).since_ms > before.since_ms)
        #expect(try scene.verify("nobody's") == nil)
    }

    @Test("only one of two processes does it")
    func lease() throws {
        let scene = try Scene()
        try scene.record("a")
        try eventually("facts") { try scene.facts("a")?.isOver == true }
        scene.later(Scene.period_ms)
        let held = try #require(
            try SingleLease.acquire(
                VerificationSweep.leaseName, as: "other/0", log: scene.plant.log, report: .silent))
        #expect(try scene.pass() == [])
        held.release()
        #expect(try scene.pass() == ["a"])
    }

    @Test("deleted sessions are forgotten, and what cannot be read is to be looked at")
    func forgets() throws {
        let scene = try Scene()
        try scene.record("a")
        try eventually("facts") { try scene.facts("a")?.isOver == true }
        try scene.plant.command(.delete(tagCounts: false), on: "a")
        try eventually("forgotten") { try scene.facts("a") == nil }
        let unknown = try #require(VerificationFacts.unreadable(nil, at: 7))
        #expect(unknown.isOver && unknown.since_ms == 0)
        for outcome in [nil] + VerificationOutcome.lasting.map(Optional.some) {
            let facts = VerificationFacts(
                version: .max, isOver: true, since_ms: 1_700_000_000_000, outcome: outcome, findingCount: 3)
            #expect(VerificationFacts(bytes: facts.bytes) == facts)
            #expect(VerificationFacts(bytes: facts.bytes + [0]) == nil)
            #expect(VerificationFacts(bytes: Array(facts.bytes.dropLast())) == nil)
        }
    }

    @Test("the disk is left alone for as long as the share asks for, however the work was cut up")
    func pace() {
        for share in [0.01, 0.1, 0.5, 1.0] {
            var pace = DiskPace(share: share)
            var rested = 0
            for step in 1...1000 { rested += pace.rest(after: .microseconds(step * 7 % 900)) }
            let worked = pace.worked / .milliseconds(1)
            let expected = worked * (1 / share - 1)
            #expect(abs(Double(rested) - expected) <= 6, "share \(share): rested \(rested), not \(expected)")
        }
    }
}
