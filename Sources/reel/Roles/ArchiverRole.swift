import Console
import EventSourcing
import MongoViews
import Pipeline
import RedisLog
import Supervision

extension ArchivePolicy {
    /// The policy that settings ask for: no event leaves the log before every stage, the completion of
    /// sessions and the read models have gone past it.
    init(_ settings: Settings) throws(UsageError) {
        self.init()
        afterEvents = try settings.require(SystemSettings.archiveAfterEvents)
        afterMilliseconds = try settings.require(SystemSettings.archiveAfterHours) * 3_600_000
        groups = StageName.allCases.map(\.rawValue)
        checkpoints = ["completion", SessionRemoval.subscription]
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
                for (partition, limit) in limits.enumerated() where !stop.isSet {
                    if archive(partition, limit, all: isShort, archiver, &trouble) { isIdle = false }
                }
                trouble.end(of: nil, archiver)
            } catch {
                trouble.note("what may be archived cannot be found out: \(error)", of: nil, archiver)
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
            let shelf = ArchiveShelf(epoch: system.log.epoch, partition: partition)
            _ = try? system.archive.sweep(shelf, olderThanSeconds: Self.unfinishedAgeSeconds)
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

/// What keeps the archiver from going on: said in the log once until it changes, and beside the partition for
/// `reel status` and the figures of every process. One thread.
struct ArchiverTrouble {
    private let system: OpenSystem
    private var told: [Int: String] = [:]
    /// Partitions that may still carry what an earlier run has written down.
    private var unknown: Set<Int>
    /// Stands for all partitions together.
    private static let all = -1

    init(_ system: OpenSystem) {
        self.system = system
        unknown = Set(0..<system.log.partitioning.count)
    }

    /// - Parameter partition: nil for all of them.
    mutating func note(_ text: String, of partition: Int?, _ archiver: RedisArchiver) {
        let key = partition ?? Self.all
        guard told[key] != text else { return }
        told[key] = text
        let name = partition.map { "\(LogPosition.partitionName($0)): " } ?? ""
        system.report(.error, "archiver", name + text)
        if let partition { write(text, partition, archiver) }
    }

    mutating func end(of partition: Int?, _ archiver: RedisArchiver) {
        let key = partition ?? Self.all
        let wasTold = told.removeValue(forKey: key) != nil
        if wasTold {
            system.report(.info, "archiver", "goes on", partition.map { [("partition", "\($0)")] } ?? [])
        }
        guard let partition, wasTold || unknown.contains(partition) else { return }
        write("", partition, archiver)
    }

    /// A server that takes no writes is told later, when the text changes or ends.
    private mutating func write(_ text: String, _ partition: Int, _ archiver: RedisArchiver) {
        do throws(LogFailure) {
            try archiver.note(stuck: text, since: SystemClock().now(), in: partition)
            unknown.remove(partition)
        } catch {
            unknown.insert(partition)
            system.report(.debug, "archiver", "what it waits for could not be written down: \(error)")
        }
    }
}
