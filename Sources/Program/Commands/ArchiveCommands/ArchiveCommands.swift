import Operations
import Base
import Console
import EventSourcing
import MongoViews
import RedisLog

/// `reel archive status`: how much of the log is archived, and what keeps the rest.
enum ArchiveStatusCommand: Command {
    static let declaration = CommandDeclaration(
        "archive", "status", summary: "Show how much of the event log is archived",
        details:
            "For each partition: events in the archive alone, events in Redis, what keeps the oldest of these "
            + "there, and why the archiver can't go on where it can't.",
        options: [Common.json.declaration] + Common.places,
        examples: ["reel archive status", "reel archive status --json"],
        statuses: [Common.usageStatus, Common.dependencyStatus])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let system = try RunningSystem(settings)
        let partitions = try system.log.archiver(ArchivePolicy()).status()
        let archived = partitions.map(\.archivedEvents).reduce(0, +)
        let live = partitions.map(\.liveEvents).reduce(0, +)
        guard settings[Common.json] else {
            var table = Table("PARTITION", ">ARCHIVED", ">IN REDIS", "HELD BY")
            for partition in partitions where max(partition.archivedEvents, partition.liveEvents) > 0 {
                table.add(
                    LogPosition.partitionName(partition.partition),
                    Quantity.grouped(partition.archivedEvents), Quantity.grouped(partition.liveEvents),
                    partition.hold.map { "\($0.kind) of \($0.name)" } ?? "")
            }
            let stuck = StuckPartitions(partitions.map { (partition: $0.partition, since: $0.stuck) })
                .groups.map { "STUCK  \($0.names) since \($0.since)" }
            let total =
                "\(Quantity.grouped(archived)) events in \(system.endpoints.archive), "
                + "\(Quantity.grouped(live)) in Redis"
            let rows = table.isEmpty ? [] : table.render() + [""]
            try Output.line((rows + (stuck.isEmpty ? [] : stuck + [""]) + [total]).joined(separator: "\n"))
            return .success
        }
        var writer = JSONWriter()
        writer.object { json in
            json.member("archive", system.endpoints.archive)
            json.member("archived_events", archived)
            json.member("live_events", live)
            json.key("partitions")
            json.array { list in
                for partition in partitions {
                    list.object { json in
                        json.member("partition", partition.partition)
                        json.member("archived_through", partition.through.entryID)
                        json.member("archived_events", partition.archivedEvents)
                        json.member("live_events", partition.liveEvents)
                        json.member("held_by", partition.hold.map { "\($0)" })
                        if !partition.stuck.isEmpty { json.member("stuck", partition.stuck) }
                    }
                }
            }
        }
        try Output.line(writer)
        return .success
    }
}

/// `reel archive run`: archives now what may go.
enum ArchiveRunCommand: Command {
    static let all = Flag("all", help: "Also what is neither old nor much yet")

    static let declaration = CommandDeclaration(
        "archive", "run", summary: "Archive now what may leave Redis",
        details:
            "'reel up' does this by itself. Nothing goes that a stage, the completion of sessions or the "
            + "read models have not gone past, and nothing before its segment was read again and compared.",
        options: [
            all.declaration, SystemSettings.archiveAfterEvents.declaration,
            SystemSettings.archiveAfterHours.declaration, Common.json.declaration,
        ] + Common.places, examples: ["reel archive run", "reel archive run --all --json"],
        statuses: [
            "1  a segment is missing or damaged, or an entry cannot be read: it is named, and stays",
            Common.usageStatus,
            Common.dependencyStatus,
        ])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let system = try RunningSystem(settings, for: .changing)
        let archiver = try system.log.archiver(try ArchivePolicy(settings))
        let progress = ReadModelProgress(
            views: MongoReadModels(try system.mongo(), .all), epoch: system.log.epoch)
        var done = ArchiveRun()
        for (partition, limit) in try progress.limits(system.log.partitioning.count).enumerated() {
            let run: ArchiveRun
            do throws(LogFailure) {
                run = try archiver.run(partition: partition, upTo: limit, all: settings[all])
            } catch { throw ArchiveVerifyCommand.failure(error) }
            done.segments += run.segments
            done.events += run.events
        }
        if settings[Common.json] {
            var writer = JSONWriter()
            writer.object { json in
                json.member("segments", done.segments)
                json.member("events", done.events)
            }
            try Output.line(writer)
        } else {
            try Output.line(
                "archived \(Quantity.grouped(done.events)) events in \(Quantity.grouped(done.segments)) segments"
            )
        }
        return .success
    }
}

/// `reel archive verify`: reads the whole archive.
enum ArchiveVerifyCommand: Command {
    static let declaration = CommandDeclaration(
        "archive", "verify", summary: "Read every archived segment and check the chain of their hashes",
        details:
            "From the newest segment, whose hash stands in the log, back to the first: a segment that is "
            + "missing, damaged or exchanged is named.",
        options: [Common.json.declaration] + Common.places,
        examples: ["reel archive verify", "reel archive verify --json"],
        statuses: [
            "1  a segment is missing, damaged or not the one that belongs there", Common.usageStatus,
            Common.dependencyStatus,
        ])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let system = try RunningSystem(settings)
        let archiver = try system.log.archiver(ArchivePolicy())
        let partitions = system.log.partitioning.count
        var meter = StepMeter("archive", unit: "partitions")
        var segments = 0
        var events = 0
        for partition in 0..<partitions {
            let found: ArchiveVerification
            do throws(LogFailure) { found = try archiver.verify(partition: partition) } catch {
                meter.clear()
                throw failure(error)
            }
            segments += found.segments
            events += found.events
            meter.show(partition + 1, of: partitions)
        }
        meter.clear()
        if settings[Common.json] {
            var writer = JSONWriter()
            writer.object { json in
                json.member("valid", true)
                json.member("segments", segments)
                json.member("events", events)
            }
            try Output.line(writer)
        } else {
            try Output.line(
                "verified \(Quantity.grouped(events)) events in \(Quantity.grouped(segments)) segments")
        }
        return .success
    }

    /// A segment that is missing or damaged is an answer, and so is an entry that cannot be read; what
    /// cannot be reached is not.
    static func failure(_ error: LogFailure) -> any Error {
        error.isOfRecord ? CommandFailure(.no, "archive: \(error)") : error
    }
}
