import Base
import Console
import EventSourcing
import MongoViews
import Pipeline
import RedisLog
import Supervision

extension ArchivePolicy {
    /// The policy that settings ask for.
    init(_ settings: Settings) throws(UsageError) {
        self.init()
        afterEvents = try settings.require(SystemSettings.archiveAfterEvents)
        afterMilliseconds = try settings.require(SystemSettings.archiveAfterHours) * 3_600_000
    }
}

/// How far the read models have come; they keep that in their own database.
struct ReadModelProgress {
    let views: MongoReadModels
    let epoch: String

    /// The position that a partition may be archived up to, for each.
    func limits(_ partitions: Int) throws -> [LogPosition] {
        let saved = try views.progress(epoch: epoch)
        return (0..<partitions).map { saved[$0] ?? .start(of: $0) }
    }
}

/// Archives what may go, in the background. Trouble with one partition doesn't keep the others from going on.
struct ArchiverRole {
    private let system: OpenSystem
    /// Files that another archiver may be writing are left alone for longer than any write takes.
    private static let unfinishedAgeSeconds = 600

    init(_ system: OpenSystem) { self.system = system }

    func run(stop: StopSignal) throws {
        var trouble = ArchiverTrouble(system)
        let progress = ReadModelProgress(views: system.views, epoch: system.log.epoch)
        let archiver = try system.log.archiver(system.archiving)
        sweep()
        while !stop.isSet {
            var isIdle = true
            do {
                let limits = try progress.limits(system.log.partitioning.count)
                // A server that runs out of memory gets rid of whatever may go, however young and few.
                let isShort = try system.log.memoryShare() > Self.tightShare
                trouble.endForAll(archiver)
                for (partition, limit) in limits.enumerated() where !stop.isSet {
                    if archive(partition, limit, all: isShort, archiver, &trouble) { isIdle = false }
                }
            } catch {
                trouble.noteForAll("what may be archived cannot be found out: \(error)", archiver)
            }
            // While there is something to do, more came meanwhile.
            if isIdle { stop.wait(milliseconds: system.archivePause) }
        }
    }

    /// Share of its memory that a server may use before it is short of it.
    private static let tightShare = 0.85

    /// Removes what a killed predecessor was writing. It costs space, not truth.
    private func sweep() {
        for partition in 0..<system.log.partitioning.count {
            let part = ArchivePart(epoch: system.log.epoch, partition: partition)
            _ = try? system.archive.sweep(part, olderThanSeconds: Self.unfinishedAgeSeconds)
        }
    }

    /// Whether something was archived.
    private func archive(
        _ partition: Int, _ limit: LogPosition, all: Bool, _ archiver: RedisArchiver,
        _ trouble: inout ArchiverTrouble
    ) -> Bool {
        do throws(LogFailure) {
            let run = try archiver.run(partition: partition, upTo: limit, all: all)
            trouble.end(of: partition, archiver)
            guard run.segments > 0 else { return false }
            system.report(
                .info, "archiver", "archived \(LogPosition.partitionName(partition))",
                [("events", "\(run.events)"), ("segments", "\(run.segments)")])
            return true
        } catch {
            // A halted partition is told of as such.
            if error.kind == .lostHistory {
                trouble.end(of: partition, archiver)
            } else {
                trouble.note("\(error)", of: partition, archiver)
            }
            return false
        }
    }
}

/// What keeps the archiver from going on: said in the log once until it changes, and beside each partition
/// that it concerns for `reel status` and the figures of every process. One thread.
struct ArchiverTrouble {
    private let system: OpenSystem
    /// What keeps it from going on in partitions.
    private var told: [Int: String] = [:]
    /// What was told of all of them together.
    private var general: String?
    /// Partitions that may carry something else than was told: what an earlier run has written down, or what
    /// could not be written since.
    private var unwritten: Set<Int>

    init(_ system: OpenSystem) {
        self.system = system
        unwritten = Set(0..<system.log.partitioning.count)
    }

    mutating func note(_ text: String, of partition: Int, _ archiver: RedisArchiver) {
        if told[partition] != text {
            system.report(.error, "archiver", "\(LogPosition.partitionName(partition)): \(text)")
        }
        tell(text, [partition], archiver)
    }

    /// Notes what keeps it from going on anywhere.
    mutating func noteForAll(_ text: String, _ archiver: RedisArchiver) {
        if general != text { system.report(.error, "archiver", text) }
        general = text
        tell(text, Array(0..<system.log.partitioning.count), archiver)
    }

    mutating func end(of partition: Int, _ archiver: RedisArchiver) {
        let wasTold = told.removeValue(forKey: partition) != nil
        if wasTold { system.report(.info, "archiver", "goes on", [("partition", "\(partition)")]) }
        guard wasTold || unwritten.contains(partition) else { return }
        unwritten.insert(partition)
        write("", since: SystemClock().now(), [partition], archiver)
    }

    /// What was noted for all partitions is over; each may still have trouble of its own.
    mutating func endForAll(_ archiver: RedisArchiver) {
        guard let text = general else { return }
        general = nil
        system.report(.info, "archiver", "goes on")
        let over = told.filter { $0.value == text }.keys.sorted()
        for partition in over { told[partition] = nil }
        unwritten.formUnion(over)
        write("", since: SystemClock().now(), over, archiver)
    }

    private mutating func tell(_ text: String, _ partitions: [Int], _ archiver: RedisArchiver) {
        let news = partitions.filter { told.updateValue(text, forKey: $0) != text || unwritten.contains($0) }
        unwritten.formUnion(news)
        // One time for all of them: what concerns all is then told as one thing.
        write(text, since: SystemClock().now(), news, archiver)
    }

    /// Writes it down where it can be; what a server does not take now is written at the next turn.
    private mutating func write(
        _ text: String, since: Timestamp, _ partitions: [Int], _ archiver: RedisArchiver
    ) {
        for partition in partitions {
            do throws(LogFailure) {
                try archiver.note(stuck: text, since: since, in: partition)
                unwritten.remove(partition)
            } catch {
                system.report(.debug, "archiver", "what it waits for could not be written down: \(error)")
                // What stands in the place of one partition's key says nothing of the others.
                guard error.isOfRecord else { return }
            }
        }
    }
}
