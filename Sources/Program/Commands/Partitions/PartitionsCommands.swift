import Operations
import Base
import Console
import EventSourcing
import MongoViews
import Recording
import RedisLog
import ChunkFiles

/// `reel partitions list`: which partitions are halted, and which were.
enum PartitionsListCommand: Command {
    static let declaration = CommandDeclaration(
        "partitions", "list", summary: "List partitions that are halted, and halts that were lifted",
        details:
            "A partition is halted when the log turns out to lack events of it that were acknowledged or "
            + "read before: after a failover to a replica that lagged, or from a backup. Nothing is appended "
            + "to it or read from it then; all other partitions go on.",
        options: [Common.json.declaration] + Common.places,
        examples: ["reel partitions list", "reel partitions list --json"],
        statuses: [Common.usageStatus, Common.dependencyStatus])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let halts = try RunningSystem(settings).log.halts()
        let (halted, lifted) = (try halts.list(), try halts.lifted())
        guard settings[Common.json] else {
            var table = Table("PARTITION", "STATE", "WHY")
            for halt in halted {
                table.add(LogPosition.partitionName(halt.partition), "halted", halt.reason)
            }
            for lift in lifted {
                let when = "lifted by \(lift.by) \(ShortTime.text(lift.at)): \(lift.reason)"
                table.add(LogPosition.partitionName(lift.partition), "was halted", "\(when); \(lift.halt)")
            }
            try Output.table(table, empty: "no partition is halted, and none ever was")
            return .success
        }
        var writer = JSONWriter()
        writer.object { json in
            json.key("halted")
            json.array { list in
                for halt in halted {
                    list.object { json in
                        json.member("partition", halt.partition)
                        json.member("reason", halt.reason)
                    }
                }
            }
            json.key("lifted")
            json.array { list in for lift in lifted { list.object { lift.write(into: &$0) } } }
        }
        try Output.line(writer)
        return .success
    }
}

/// `reel partitions lift`: goes on without what was lost.
enum PartitionsLiftCommand: Command {
    static let partition = Rule<String>("must be a partition, such as 3 or p003") {
        PartitionsLiftCommand.number($0) == nil ? nil : $0
    }
    static let accept = Flag(
        "accept-loss", help: "Yes: the lost events are given up for good. Nothing is given up without it")
    static let fromArchive = Flag(
        "from-archive",
        help:
            "Take back what the archive has of the partition, also what nobody has vouched for; gives up nothing"
    )
    static let reason = Setting(
        "reason", "TEXT", .text(upTo: 500), isRequired: true,
        help: "Why, kept beside the log with who and when")

    static let declaration = CommandDeclaration(
        "partitions", "lift", summary: "Go on in a halted partition, without the events that were lost",
        details:
            "First try to bring the lost events back: where an old master or a backup has them, stop "
            + "everything, put that server in place, and nothing is lost. What the archive has is taken back by "
            + "itself as far as somebody with a key has vouched for it, and with --from-archive all of it. A "
            + "partition that lacks nothing any more goes on without being lifted. Lifting gives up what neither "
            + "has, for good. It "
            + "accepts that events which were acknowledged never happened: chunks whose recording was lost "
            + "are no part of their sessions any more, even if they were shown as stored; sessions may be "
            + "gone; recordings that were cut off end as incomplete.\n"
            + "Sealed files that no event describes are moved to .lost in the chunk store, but for those of "
            + "sessions that a case holds or held. What was stored "
            + "and lost only that event is found again and needs nothing. The read models of the sessions "
            + "concerned are built again from the log. A session that lost events in its midst stays as it is: "
            + "what is left of it can be looked at. Segments of the archive that contradict the log are kept "
            + "beside it, with names that end in .lost. Running processes go on within seconds.",
        positionals: [Positional("PARTITION", partition, help: "Number or name of the partition")],
        options: [
            accept.declaration, fromArchive.declaration, reason.declaration, Common.json.declaration,
        ] + Common.places,
        examples: [
            "reel partitions lift p003 --accept-loss --reason 'the old master burnt down'",
            "reel partitions lift 3 --accept-loss --reason 'ticket 4711' --json",
            "reel partitions lift 3 --from-archive --reason 'written by the build before vouchers'",
        ],
        statuses: [
            "1  the partition is not halted; with --from-archive also: something is missing still",
            Common.usageStatus, Common.dependencyStatus,
        ])

    static func number(_ text: String) -> Int? {
        let digits = text.hasPrefix("p") ? text.dropFirst() : text[...]
        guard (1...4).contains(digits.count), digits.allSatisfy({ ("0"..."9").contains($0) }) else {
            return nil
        }
        return Int(digits)
    }

    static func run(_ settings: Settings) throws -> ExitStatus {
        guard let partition = settings.positional(0).flatMap(number) else {
            throw UsageError(["PARTITION is missing"], command: declaration.name)
        }
        let reason = try settings.require(reason)
        guard settings[accept] != settings[fromArchive] else {
            throw UsageError(
                [
                    settings[accept]
                        ? "--accept-loss and --from-archive exclude each other"
                        : "lifting gives up events that were acknowledged: add --accept-loss if that is meant, or "
                            + "--from-archive to take back what the archive has"
                ], command: declaration.name)
        }
        let system = try RunningSystem(settings, for: .changing)
        let name = LogPosition.partitionName(partition)
        guard (0..<system.log.partitioning.count).contains(partition) else {
            throw CommandFailure(.no, "the log has no partition \(name)")
        }
        let chunks = try system.chunks()
        let service = try PartitionService(system.log, MongoReadModels(try system.mongo(), .all), chunks)
        let found =
            try settings[fromArchive]
            ? service.takeBack(partition) : service.lift(partition, by: CurrentUser.actor, because: reason)
        guard let outcome = found else {
            throw CommandFailure(.no, "partition \(name) is not halted")
        }
        try CommandTrail(system.log).keep(
            .configurationChange, on: AuditResource(.other, id: name), reason: reason,
            details: ["command": declaration.name, "sessions": "\(outcome.sessions.count)"])
        try settings[Common.json]
            ? Output.line(json(outcome, chunks)) : Output.line(text(outcome, chunks))
        return .success
    }

    private static func text(_ outcome: PartitionService.Outcome, _ chunks: ChunkStore) -> String {
        let isMended = outcome.lifting.by == "reel"
        var lines = [
            "partition \(outcome.lifting.partition) goes on",
            isMended
                ? "nothing is missing any more, and nothing was given up"
                : "accepted: \(outcome.lifting.halt)",
        ]
        if isMended { return lines.joined(separator: "\n") }
        lines.append("")
        var table = Table("SESSION", ">EVENTS SHOWN", ">IN THE LOG", ">GONE AMONG THEM", ">FILES SET ASIDE")
        for session in outcome.sessions {
            table.add(
                session.sessionID, session.shownEvents.map { Quantity.grouped(Int($0)) } ?? "-",
                Quantity.grouped(Int(session.loggedEvents)), Quantity.grouped(session.gaps),
                Quantity.grouped(session.chunks.count))
        }
        lines += table.isEmpty ? ["no session is known to have lost anything"] : table.render()
        if outcome.sessions.contains(where: { !$0.chunks.isEmpty }) {
            lines.append("files were moved to \(chunks.root)/\(ChunkStore.lostFolder)")
        }
        for session in outcome.sessions where !session.lostHolds.isEmpty {
            lines.append(
                "session \(session.sessionID) was held by cases of which the log knows nothing any more; set "
                    + "them again: \(session.lostHolds.joined(separator: ", "))")
        }
        if outcome.auditRecords > 0 {
            let count = Quantity.grouped(outcome.auditRecords)
            lines.append("\(count) records of the audit trail were lost, and are shown no more")
        }
        lines += ["", "look with 'reel status' and 'reel replay --verify' in a minute"]
        return lines.joined(separator: "\n")
    }

    private static func json(_ outcome: PartitionService.Outcome, _ chunks: ChunkStore) -> JSONWriter {
        var writer = JSONWriter()
        writer.object { json in
            outcome.lifting.write(into: &json)
            json.member("lost_files", "\(chunks.root)/\(ChunkStore.lostFolder)")
            json.member("audit_records_removed", outcome.auditRecords)
            json.key("sessions")
            json.array { list in
                for session in outcome.sessions {
                    list.object { json in
                        json.member("session_id", session.sessionID)
                        json.key("shown_events")
                        if let shown = session.shownEvents { json.value(Int(shown)) } else { json.null() }
                        json.member("logged_events", Int(session.loggedEvents))
                        json.member("gone_among_them", session.gaps)
                        json.key("files_set_aside")
                        json.array { list in for number in session.chunks { list.value(number) } }
                        json.member("lost_holds", session.lostHolds)
                    }
                }
            }
        }
        return writer
    }
}

extension LiftedHalt {
    /// Its members, into an object.
    fileprivate func write(into json: inout JSONWriter) {
        json.member("partition", partition)
        json.member("lifted_at", at)
        json.member("lifted_by", by)
        json.member("reason", reason)
        json.member("halt", halt)
    }
}
