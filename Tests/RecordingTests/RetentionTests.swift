import Base
import EventSourcing
import Recording
import Testing
import ReadModels

/// How long sessions are kept.
@Suite("Retention")
struct RetentionTests {
    private static let day: Int64 = 86_400_000
    private static let stopped = Timestamp(milliseconds: 1_700_000_000_000)

    private func session(
        _ status: SessionStatus, days: Int = 30, tags: [String] = [], stoppedAt: Timestamp? = stopped
    ) throws -> SessionView {
        var created = SessionEvent.Created(
            sessionID: "s", name: "s", rdp: RDPConfig(host: "h", username: "u"),
            recording: RecordingConfig(), storage: StorageConfig(), metadata: SessionMetadata(),
            capture: CaptureConfig(source: .stream, chunkSizeBytes: 4096))
        created.storage.retentionDays = days
        created.metadata.tags = tags
        let stamp = EventStamp(
            time: Timestamp(milliseconds: Self.stopped.milliseconds + 500), sequence: 1,
            position: .start(of: 0))
        var view = try #require(SessionView(.session(.created(created)), stamp))
        view.status = status
        view.stoppedAt = stoppedAt
        return view
    }

    private func after(_ milliseconds: Int64) -> Timestamp {
        Timestamp(milliseconds: Self.stopped.milliseconds + milliseconds)
    }

    @Test("a session is kept up to the last millisecond of its days", arguments: [1, 30, 365])
    func bound(_ days: Int) throws {
        let session = try session(.completed, days: days)
        let end = after(Int64(days) * Self.day)
        #expect(Retention.end(of: session) == end)
        for early in [Int64(days) * Self.day - 1, Int64(days) * Self.day] {
            #expect(Retention.verdict(session, now: after(early), tagCounts: true) == .kept(until: end))
        }
        #expect(
            Retention.verdict(session, now: after(Int64(days) * Self.day + 1), tagCounts: true)
                == .due(since: end))
    }

    @Test("only what is over is ever due", arguments: SessionStatus.allCases)
    func states(_ status: SessionStatus) throws {
        let verdict = Retention.verdict(
            try session(status), now: after(1000 * Self.day), tagCounts: true)
        let isOver = status == .completed || status == .failed
        #expect(verdict == (isOver ? .due(since: after(30 * Self.day)) : .unfinished(status)))
    }

    @Test("a session that a case holds is kept for as long as it does")
    func held() throws {
        let later = after(1000 * Self.day)
        var session = try session(.completed)
        session.holds = ["A", "B"].map {
            LegalHold(caseName: $0, reason: "r", setBy: "anna", setAt: Self.stopped)
        }
        let verdict = Retention.verdict(session, now: later, tagCounts: false)
        #expect(verdict == .held(cases: ["A", "B"]))
        #expect("\(verdict)" == "is under legal hold: A, B")
        session.holds = []
        #expect(
            Retention.verdict(session, now: later, tagCounts: false) == .due(since: after(30 * Self.day)))
    }

    @Test("the tag keeps a session as long as it counts, another tag never")
    func tagged() throws {
        let later = after(1000 * Self.day)
        let due = Retention.Verdict.due(since: after(30 * Self.day))
        let session = try session(.completed, tags: ["a", "legal-hold"])
        let held = Retention.verdict(session, now: later, tagCounts: true)
        #expect(held == .held(cases: ["legal-hold tag"]))
        #expect(Retention.verdict(session, now: later, tagCounts: false) == due)
        let other = try self.session(.completed, tags: ["legal-holds"])
        #expect(Retention.verdict(other, now: later, tagCounts: true) == due)
    }

    @Test("one that never recorded counts from its last event")
    func neverRecorded() throws {
        let session = try session(.failed, days: 1, stoppedAt: nil)
        let end = after(Self.day + 500)
        #expect(Retention.verdict(session, now: end, tagCounts: true) == .kept(until: end))
        #expect(Retention.verdict(session, now: after(Self.day + 501), tagCounts: true) == .due(since: end))
    }

    @Test("one that never recorded is kept no longer for being verified")
    func neverRecordedAndVerified() throws {
        var view = try #require(
            SessionView(
                .session(.created(History.creation)),
                EventStamp(time: after(0), sequence: 1, position: .start(of: 0))))
        view.status = .failed
        let end = Retention.end(of: view)
        var fold = try #require(
            SessionFold(
                .session(.created(History.creation)),
                EventStamp(time: after(0), sequence: 1, position: .start(of: 0))))
        let facts: [RecordingEvent] = [
            .session(.failed(sessionID: History.sessionID, error: "disk")),
            .session(.verified(History.verified(.partial))),
            .session(.verified(History.verified(.damaged, findings: ["missing"]))),
        ]
        for (place, fact) in facts.enumerated() {
            let time = place == 0 ? after(0) : after(Int64(place) * 20 * Self.day)
            fold.evolve(fact, EventStamp(time: time, sequence: UInt64(place + 2), position: .start(of: 0)))
        }
        #expect(Retention.end(of: fold.session) == end)
    }

    /// A completed session without chunks, and then what is given.
    private func state(_ more: RecordingEvent...) -> SessionState {
        let created = SessionEvent.Created(
            sessionID: "s", name: "s", rdp: RDPConfig(host: "h", username: "u"),
            recording: RecordingConfig(), storage: StorageConfig(), metadata: SessionMetadata(),
            capture: CaptureConfig(source: .stream, chunkSizeBytes: 4096))
        let completed = SessionEvent.Completed(
            sessionID: "s", merkleRoot: String(repeating: "a", count: 64), chunkCount: 0, sizeBytes: 0,
            sealedBytes: 0, incomplete: false)
        var state = SessionState()
        for fact in [.session(.created(created)), .session(.completed(completed))] + more {
            SessionDecider.evolve(&state, fact)
        }
        return state
    }

    @Test("the decision is the log's: a hold or a longer retention that came meanwhile counts")
    func decision() throws {
        let view = try session(.completed)
        let now = after(31 * Self.day)
        let facts = try SessionDecider.decide(.expire(view, now: now, tagCounts: false), state())
        #expect(facts.first == .session(.deleted(sessionID: "s")))
        var held = SessionEvent.Updated(sessionID: "s")
        held.metadata = SessionMetadata()
        held.metadata?.tags = [HoldTag.name]
        let tagged = state(.session(.updated(held)))
        #expect(try SessionDecider.decide(.expire(view, now: now, tagCounts: true), tagged).isEmpty)
        #expect(try !SessionDecider.decide(.expire(view, now: now, tagCounts: false), tagged).isEmpty)
        let hold = SessionEvent.HoldChange(sessionID: "s", caseName: "A", reason: "r")
        let underHold = state(.session(.legalHoldSet(hold)))
        #expect(try SessionDecider.decide(.expire(view, now: now, tagCounts: false), underHold).isEmpty)
        let free = state(.session(.legalHoldSet(hold)), .session(.legalHoldLifted(hold)))
        #expect(try !SessionDecider.decide(.expire(view, now: now, tagCounts: false), free).isEmpty)
        var longer = SessionEvent.Updated(sessionID: "s")
        longer.storage = StorageConfig()
        longer.storage?.retentionDays = 31
        let later = state(.session(.updated(longer)))
        #expect(try SessionDecider.decide(.expire(view, now: now, tagCounts: false), later).isEmpty)
        let then = after(31 * Self.day + 1)
        #expect(try !SessionDecider.decide(.expire(view, now: then, tagCounts: false), later).isEmpty)
        #expect(throws: SessionRejection.notFound) {
            try SessionDecider.decide(
                .expire(view, now: now, tagCounts: false), state(.session(.deleted(sessionID: "s"))))
        }
    }
}
