internal import Base
internal import EventSourcing
package import MongoViews
internal import Recording
package import RedisLog
internal import Supervision
internal import Console

/// What the stores allow, without anything of ours around them.
package struct StoreCeilings {
    /// As many as the gateway has threads for what blocks.
    static let threads = 32

    /// `find_one` of a session by libmongoc, nothing decoded, in a second.
    package var finds = 0.0
    /// XADD of a session's first event, one a round trip, synced before it is answered, in a second.
    package var appends = 0.0

    package init(_ log: RedisEventLog, _ pool: MongoPool, sessions: [String], milliseconds: Int) throws {
        let reads = ReadCeiling(pool, RecordingViews.sessions, by: "session_id")
        finds = try Self.rate(milliseconds) { thread in
            var next = thread
            return {
                next += 1
                guard try reads.find(sessions[next % sessions.count]) else {
                    throw CommandFailure(.dependency, "a session of the benchmark is not in MongoDB")
                }
            }
        }
        appends = try Self.rate(milliseconds) { thread in
            let plain = log.plainAppend(name: "api-\(thread)")
            let event = Self.event()
            return { try plain.append([(partitionKey: "bench", sequence: "000000000001", event: event)]) }
        }
    }

    private static func event() -> ProposedEvent {
        let creation = SessionEvent.Created(
            sessionID: "bench", name: "Session", rdp: RDPConfig(host: "desk.example", username: "ann"),
            recording: RecordingConfig(), storage: StorageConfig(), metadata: SessionMetadata(),
            capture: CaptureConfig(source: .stream, chunkSizeBytes: 1 << 20))
        return ProposedEvent(
            benchmarking: RecordingEvent.session(.created(creation)), id: "bench/create",
            time: SystemClock().now(),
            context: EventContext(source: "/reel/bench", actor: .system("bench")))
    }

    /// Calls what `make` answers, on many threads, and gives the calls in a second.
    private static func rate(
        _ milliseconds: Int, _ make: @escaping @Sendable (Int) throws -> () throws -> Void
    ) throws -> Double {
        let end = ContinuousClock.now + .milliseconds(milliseconds)
        let began = ContinuousClock.now
        let workers = try (0..<threads).map { thread in
            try OwnThread(name: "ceiling-\(thread)") {
                let call = try make(thread)
                var count = 0
                while ContinuousClock.now < end {
                    try call()
                    count += 1
                }
                return count
            }
        }
        let counts = try workers.map { try $0.join() }
        return Double(counts.reduce(0, +)) / ((ContinuousClock.now - began) / .seconds(1))
    }
}
