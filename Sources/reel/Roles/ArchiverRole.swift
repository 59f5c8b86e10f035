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
        var told: [Int: String] = [:]
        let progress = ReadModelProgress(views: system.views, epoch: system.log.epoch)
        let archiver = try system.log.archiver(system.archiving)
        sweep()
        while !stop.isSet {
            var isIdle = true
            do {
                let limits = try progress.limits(system.log.partitioning.count)
                for (partition, limit) in limits.enumerated() where !stop.isSet {
                    if archive(partition, limit, archiver, &told) { isIdle = false }
                }
            } catch {
                report(-1, "the read models do not say how far they are: \(error)", &told)
            }
            // While there is something to do, more came meanwhile.
            if isIdle { stop.wait(milliseconds: system.archivePause) }
        }
    }

    /// Removes what a killed predecessor was writing. It costs space, not truth.
    private func sweep() {
        for partition in 0..<system.log.partitioning.count {
            let shelf = ArchiveShelf(epoch: system.log.epoch, partition: partition)
            _ = try? system.archive.sweep(shelf, olderThanSeconds: Self.unfinishedAgeSeconds)
        }
    }

    /// Whether something was archived.
    private func archive(
        _ partition: Int, _ limit: LogPosition, _ archiver: RedisArchiver, _ told: inout [Int: String]
    ) -> Bool {
        do throws(LogFailure) {
            let run = try archiver.run(partition: partition, upTo: limit)
            told[partition] = nil
            guard run.segments > 0 else { return false }
            system.report(
                .info, "archiver", "archived \(LogPosition.partitionName(partition))",
                [("events", "\(run.events)"), ("segments", "\(run.segments)")])
            return true
        } catch {
            report(partition, "\(LogPosition.partitionName(partition)): \(error)", &told)
            return false
        }
    }

    /// Says what is wrong, once until it changes.
    private func report(_ partition: Int, _ text: String, _ told: inout [Int: String]) {
        guard told[partition] != text else { return }
        told[partition] = text
        system.report(.error, "archiver", text)
    }
}
