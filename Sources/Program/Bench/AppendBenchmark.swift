internal import Base
internal import EventSourcing
package import RedisLog
internal import Recording
internal import Console

/// How fast events are appended with version check and idempotency, against plain pipelined XADD of the
/// same bytes in the same run.
package struct AppendBenchmark {
    /// The figures for one number of events a call.
    package struct Result {
        /// Events that were appended at once.
        package var eventsPerCall: Int
        /// Events that were appended in each of the two ways.
        package var events: Int
        /// Events a second.
        package var rate: Double
        /// Events a second of plain pipelined XADD.
        package var ceiling: Double
        /// Bytes of an event's fields and values, on average.
        package var bytesPerEvent: Int

        /// Rate against ceiling.
        package var ratio: Double { rate / ceiling }
    }

    /// Events in one round trip, of either way.
    private static let eventsPerTrip = 200
    /// Both ways take turns, so that the disk's moods meet both.
    private static let turns = 10
    private static let sessions = 50

    /// Events in each run; rounded to whole turns and round trips.
    var events: Int

    /// A benchmark of so many events in each run.
    package init(events: Int) { self.events = events }

    /// Measures one number of events a call. Blocks until it is done.
    /// - Parameter log: a log of the benchmark's own; the events stay in it.
    package func run(eventsPerCall: Int, log: RedisEventLog) throws -> Result {
        let store = try log.open()
        let plain = log.plainAppend(name: "append-\(eventsPerCall)")
        defer { try? plain.remove() }
        let trips = max(1, events / Self.turns / Self.eventsPerTrip)
        var work = Work(eventsPerCall: eventsPerCall)
        // The first turn warms both ways up: connections, functions, the server's memory.
        let warming = work.take(1)
        _ = try appendAll(warming, store)
        _ = try plainAll(warming, plain)
        var (ours, bare) = (Duration.zero, Duration.zero)
        var bytes = 0
        for turn in 0..<Self.turns {
            let batches = work.take(trips)
            bytes += batches.reduce(0) { $0 + $1.reduce(0) { $0 + Work.bytes(of: $1) } }
            // Who goes first changes, too.
            if turn.isMultiple(of: 2) {
                ours += try appendAll(batches, store)
                bare += try plainAll(batches, plain)
            } else {
                bare += try plainAll(batches, plain)
                ours += try appendAll(batches, store)
            }
        }
        let count = Self.turns * trips * Self.eventsPerTrip
        return Result(
            eventsPerCall: eventsPerCall, events: count, rate: Double(count) / (ours / .seconds(1)),
            ceiling: Double(count) / (bare / .seconds(1)), bytesPerEvent: bytes / count)
    }

    private func appendAll(_ trips: [[AppendBatch]], _ store: any EventStore) throws -> Duration {
        let clock = ContinuousClock()
        let began = clock.now
        for trip in trips {
            for (batch, outcome) in zip(trip, try store.append(trip)) {
                guard case .appended(let events) = outcome, !events.contains(where: \.wasPresent) else {
                    throw CommandFailure(
                        .dependency, "an append to \(batch.partitionKey) was answered with \(outcome)")
                }
            }
        }
        return clock.now - began
    }

    private func plainAll(_ trips: [[AppendBatch]], _ plain: PlainAppend) throws -> Duration {
        let sequence = "000000000001"
        let prepared = trips.map { trip in
            trip.flatMap { batch in
                batch.events.map { (partitionKey: batch.partitionKey, sequence: sequence, event: $0) }
            }
        }
        let clock = ContinuousClock()
        let began = clock.now
        for trip in prepared { try plain.append(trip) }
        return clock.now - began
    }

    /// Events as the store stage emits them, made before the clock runs.
    private struct Work {
        let eventsPerCall: Int
        private let base: String
        private var versions = Array(repeating: 0, count: AppendBenchmark.sessions)
        private var next = 0

        init(eventsPerCall: Int) {
            self.eventsPerCall = eventsPerCall
            base = "sess-" + ULID.make(at: SystemClock().now())
        }

        mutating func take(_ trips: Int) -> [[AppendBatch]] {
            (0..<trips).map { _ in
                (0..<AppendBenchmark.eventsPerTrip / eventsPerCall).map { _ in batch() }
            }
        }

        private mutating func batch() -> AppendBatch {
            let place = next % versions.count
            next += 1
            let session = "\(base)-\(place)"
            let version = versions[place]
            versions[place] += eventsPerCall
            let events = (1...eventsPerCall).map { Self.event(session, number: version + $0) }
            return AppendBatch(to: session, expecting: .exactly(UInt64(version)), events)
        }

        private static func event(_ session: String, number: Int) -> ProposedEvent {
            let digest = String(repeating: "0123456789abcdef", count: 4)
            let now = SystemClock().now()
            let sealed = ChunkEvent.Sealed(
                chunk: ChunkReference(sessionID: session, sequenceNumber: number),
                content: ChunkContent(
                    sizeBytes: 10_485_760, digest: digest, keyID: "key-01", cipher: "xchacha20poly1305"),
                codec: "zstd", compressedBytes: 9_000_000, sealedBytes: 9_000_500, merkleHash: digest,
                processingMilliseconds: 31.5, path: "\(session)/00000001.reel")
            let context = EventContext(
                source: "/reel/processor", actor: .system("processor"),
                correlationID: "\(session)/SessionCreated",
                causationID: "\(session)-chunk-000001/ChunkRecorded")
            let event = RecordingEvent.chunk(.stored(sealed))
            return ProposedEvent(
                benchmarking: event, id: "\(sealed.chunk.chunkID)/ChunkStored", time: now, context: context)
        }

        static func bytes(of batch: AppendBatch) -> Int {
            batch.events.reduce(0) { sum, event in
                sum + event.id.utf8.count + event.type.utf8.count + event.subject.utf8.count
                    + event.data.count
                    + event.dataSchema.utf8.count + event.context.source.utf8.count
                    + event.context.correlationID.utf8.count + event.context.causationID.utf8.count + 24 + 12
            }
        }
    }
}
