internal import Engine
internal import Base
internal import EventSourcing
internal import Foundation
internal import Pipeline
package import RedisLog
package import Supervision
internal import Console

/// A log that grows while its older part is archived: what the server, the archive and readers make of it.
package struct GrowthBenchmark {
    /// One look at everything while events are appended.
    package struct Sample {
        /// Milliseconds since the beginning.
        var at_ms: Int
        var appended: Int
        var archived: Int
        /// Memory that the server uses for data.
        var redisBytes: Int
    }

    /// What one tenth of the events did.
    package struct Tenth {
        /// Events that were appended when it ended.
        package var appended: Int
        /// Events that were archived then.
        package var archived: Int
        /// Events a second.
        package var appendRate: Double
        /// Least and most memory that the server used.
        package var redisBytes: ClosedRange<Int>
    }

    /// All rates in events a second.
    package struct Result {
        /// Events that were appended.
        package var events = 0
        /// Histories that they stand in.
        package var sessions = 0
        /// How it went, tenth by tenth.
        package var tenths: [Tenth] = []
        /// While archiving was at work beside it.
        package var appendRate = 0.0
        /// While archiving was at work, beside the appends.
        package var archiveRate = 0.0
        /// Memory that the server used when everything was archived but the newest event of each partition.
        package var redisBytesAtRest = 0
        /// Bytes of the archive's files.
        package var archiveBytes = 0
        /// Number of them.
        package var segments = 0
        /// Everything read in order, by the threads that a replay has.
        package var readRate = 0.0
        /// The whole chain of hashes.
        package var verifyRate = 0.0
        /// Loading one archived session.
        package var load_ms = 0.0
        /// The most memory that was resident while it was appended and archived.
        package var growingRSS: Int?
        /// The most memory that was resident while everything was read.
        package var readingRSS: Int?
    }

    private static let loads = 200

    let log: RedisEventLog
    /// Folder of the archive.
    let archive: String
    let policy: ArchivePolicy
    /// Milliseconds between two looks at what may be archived.
    let pause_ms: Int
    let events: Int
    let stop: StopSignal

    /// A benchmark on a log of its own.
    /// - Parameters:
    ///   - archive: folder of the log's archive.
    ///   - pause_ms: milliseconds between two looks at what may be archived.
    package init(
        log: RedisEventLog, archive: String, policy: ArchivePolicy, pause_ms: Int, events: Int,
        stop: StopSignal
    ) {
        (self.log, self.archive, self.policy, self.pause_ms) = (log, archive, policy, pause_ms)
        (self.events, self.stop) = (events, stop)
    }

    /// - Parameter tell: told of every step.
    package func run(_ tell: (String) -> Void) throws -> Result {
        var result = Result()
        tell("appending \(events) events and archiving them …")
        PeakMemory.reset()
        try grow(&result, tell)
        result.growingRSS = PeakMemory.bytes
        tell("archiving what is left …")
        let archiver = try log.archiver(policy)
        for partition in 0..<log.partitioning.count { _ = try archiver.run(partition: partition, all: true) }
        result.redisBytesAtRest = try log.serverMemory()
        (result.archiveBytes, result.segments) = archiveSize()
        tell("reading everything …")
        PeakMemory.reset()
        result.readRate = try rate(result.events) { try readAll(expecting: result.events) }
        result.readingRSS = PeakMemory.bytes
        tell("verifying the archive …")
        result.verifyRate = try rate(result.events) {
            for partition in 0..<log.partitioning.count { _ = try archiver.verify(partition: partition) }
        }
        result.load_ms = try load(result.sessions)
        return result
    }

    // MARK: - Growing

    /// What the archiving thread has done so far.
    private final class Archiving: Sendable {
        private let state = Lock((events: 0, busy: Duration.zero))

        var events: Int { state.withLock { $0.events } }

        func add(_ events: Int, in time: Duration) {
            guard events > 0 else { return }
            state.withLock { state in
                state.events += events
                state.busy += time
            }
        }

        /// Events a second while at work.
        var rate: Double { state.withLock { Double($0.events) / max($0.busy / .seconds(1), 1e-9) } }
    }

    private func grow(_ result: inout Result, _ tell: (String) -> Void) throws {
        let progress = Archiving()
        let ended = StopSignal()
        let (log, policy, pause) = (log, policy, pause_ms)
        let thread = try OwnThread<Void>(name: "archiver") {
            let archiver = try log.archiver(policy)
            while !ended.isSet {
                var isIdle = true
                for partition in 0..<log.partitioning.count where !ended.isSet {
                    let began = ContinuousClock.now
                    let run = try archiver.run(partition: partition)
                    progress.add(run.events, in: ContinuousClock.now - began)
                    if run.events > 0 { isIdle = false }
                }
                if isIdle { ended.wait(milliseconds: pause) }
            }
        }
        defer { ended.set() }
        var workload = SessionWorkload(events: events)
        var samples: [Sample] = []
        let store = try log.open()
        let began = ContinuousClock.now
        var next = began
        while let batches = workload.next() {
            try SessionWorkload.append(batches, to: store)
            let now = ContinuousClock.now
            guard now >= next else { continue }
            next = now + .milliseconds(500)
            if stop.isSet { throw CommandFailure(.interrupted, "interrupted") }
            if thread.isFinished { try thread.join() }
            samples.append(
                Sample(
                    at_ms: milliseconds(now - began), appended: workload.made,
                    archived: progress.events, redisBytes: try log.serverMemory()))
            if samples.count.isMultiple(of: 20) { tell(line(samples[samples.count - 1])) }
        }
        let elapsed = ContinuousClock.now - began
        samples.append(
            Sample(
                at_ms: milliseconds(elapsed), appended: workload.made,
                archived: progress.events, redisBytes: try log.serverMemory()))
        ended.set()
        try thread.join()
        result.events = workload.made
        result.sessions = workload.sessions
        result.appendRate = Double(workload.made) / (elapsed / .seconds(1))
        result.archiveRate = progress.rate
        result.tenths = Self.tenths(of: samples)
    }

    private func line(_ sample: Sample) -> String {
        "\(sample.appended) appended, \(sample.archived) archived, \(sample.redisBytes >> 20) MiB in Redis"
    }

    private static func tenths(of samples: [Sample]) -> [Tenth] {
        guard let last = samples.last else { return [] }
        var tenths: [Tenth] = []
        var before = Sample(at_ms: 0, appended: 0, archived: 0, redisBytes: 0)
        var rest = samples[...]
        for number in 1...10 {
            let part = rest.prefix { $0.appended <= last.appended / 10 * number || number == 10 }
            rest = rest.dropFirst(part.count)
            guard let end = part.last else { continue }
            let bytes = part.map(\.redisBytes)
            tenths.append(
                Tenth(
                    appended: end.appended, archived: end.archived,
                    appendRate: Double(end.appended - before.appended) * 1000
                        / Double(max(1, end.at_ms - before.at_ms)),
                    redisBytes: (bytes.min() ?? 0)...(bytes.max() ?? 0)))
            before = end
        }
        return tenths
    }

    // MARK: - Reading

    private func readAll(expecting count: Int) throws {
        let store = try log.open()
        let ends = try (0..<log.partitioning.count).map { try store.end(of: $0) }
        let reader = try ReadAhead(log, after: [:], upTo: ends, threads: 2)
        var last: [Int: LogPosition] = [:]
        var found = 0
        while let page = try reader.nextPage() {
            for event in page.events {
                let partition = event.position.partition
                guard last[partition].map({ $0 < event.position }) ?? true else {
                    throw CommandFailure(.no, "\(event.position) came out of order")
                }
                last[partition] = event.position
            }
            found += page.events.count
        }
        guard found == count else { throw CommandFailure(.no, "\(found) events were read of \(count)") }
    }

    private func load(_ sessions: Int) throws -> Double {
        let store = try log.open()
        let step = max(1, sessions / Self.loads)
        let wanted = Array(stride(from: 0, to: sessions, by: step))
        let time = try ContinuousClock().measure {
            for number in wanted {
                guard try !store.load("bench-\(number)", after: 0, limit: 1000).isEmpty else {
                    throw CommandFailure(.no, "session bench-\(number) is not there")
                }
            }
        }
        return time / .milliseconds(1) / Double(max(1, wanted.count))
    }

    private func rate(_ events: Int, _ body: () throws -> Void) throws -> Double {
        let time = try ContinuousClock().measure(body)
        return Double(events) / max(time / .seconds(1), 1e-9)
    }

    private func milliseconds(_ duration: Duration) -> Int { Int(duration / .milliseconds(1)) }

    private func archiveSize() -> (bytes: Int, segments: Int) {
        var (bytes, segments) = (0, 0)
        let walk = FileManager.default.enumerator(atPath: archive)
        while let name = walk?.nextObject() as? String {
            guard name.hasSuffix(".seg") else { continue }
            bytes += (walk?.fileAttributes?[.size] as? Int) ?? 0
            segments += 1
        }
        return (bytes, segments)
    }
}
