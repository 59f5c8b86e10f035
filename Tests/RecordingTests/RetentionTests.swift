import EventSourcing
import Recording
import Testing

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
            #expect(Retention.verdict(session, now: after(early)) == .kept(until: end))
        }
        #expect(Retention.verdict(session, now: after(Int64(days) * Self.day + 1)) == .due(since: end))
    }

    @Test("only what is over is ever due", arguments: SessionStatus.allCases)
    func states(_ status: SessionStatus) throws {
        let verdict = Retention.verdict(try session(status), now: after(1000 * Self.day))
        let isOver = status == .completed || status == .failed
        #expect(verdict == (isOver ? .due(since: after(30 * Self.day)) : .unfinished(status)))
    }

    @Test("a session with the tag is kept, another tag says nothing")
    func held() throws {
        let later = after(1000 * Self.day)
        #expect(Retention.verdict(try session(.completed, tags: ["a", "legal-hold"]), now: later) == .held)
        let other = Retention.verdict(try session(.completed, tags: ["legal-holds"]), now: later)
        #expect(other == .due(since: after(30 * Self.day)))
    }

    @Test("one that never recorded counts from its last event")
    func neverRecorded() throws {
        let session = try session(.failed, days: 1, stoppedAt: nil)
        let end = after(Self.day + 500)
        #expect(Retention.verdict(session, now: end) == .kept(until: end))
        #expect(Retention.verdict(session, now: after(Self.day + 501)) == .due(since: end))
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
        let facts = try SessionDecider.decide(.expire(view, now: now), state())
        #expect(facts.first == .session(.deleted(sessionID: "s")))
        var held = SessionEvent.Updated(sessionID: "s")
        held.metadata = SessionMetadata()
        held.metadata?.tags = [Retention.holdTag]
        #expect(try SessionDecider.decide(.expire(view, now: now), state(.session(.updated(held)))).isEmpty)
        var longer = SessionEvent.Updated(sessionID: "s")
        longer.storage = StorageConfig()
        longer.storage?.retentionDays = 31
        let later = state(.session(.updated(longer)))
        #expect(try SessionDecider.decide(.expire(view, now: now), later).isEmpty)
        #expect(try !SessionDecider.decide(.expire(view, now: after(31 * Self.day + 1)), later).isEmpty)
        #expect(throws: SessionRejection.notFound) {
            try SessionDecider.decide(
                .expire(view, now: now), state(.session(.deleted(sessionID: "s"))))
        }
    }
}
