import Operations
import Base
import Console
import EventSourcing
import Supervision
import MongoViews
import Pipeline
import RecordingMongo
import RedisLog
import Recording
import ChunkFiles
import Files

/// `reel status`: how the running system is.
enum StatusCommand: Command {
    static let watch = Flag("watch", short: "w", help: "Look again every second until Ctrl-C")
    static let partitions = Flag(
        "partitions", help: "Show every partition that is behind or has parked events")

    static let declaration = CommandDeclaration(
        "status", summary: "Show how the running system is",
        details:
            "Servers, what an append has survived once it is acknowledged, how far each stage is behind in "
            + "events and in time, who owns what, sessions by status, and room on the disks. Keys of the log "
            + "in Redis that somebody has put something else into are named, and what depends on them is left "
            + "out. With --watch the terminal is refreshed in place; --json then prints a line a second.",
        options: [
            watch.declaration, partitions.declaration, Common.diskReserve.declaration,
            Common.spoolQuota.declaration,
            Common.json.declaration,
        ] + Common.places,
        examples: ["reel status", "reel status --watch --partitions", "reel status --json"],
        statuses: [
            "1  a key of the log in Redis holds something else than Reel wrote; each was named, and the rest "
                + "was shown",
            Common.usageStatus, Common.dependencyStatus,
        ])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let probe = try StatusProbe(try RunningSystem(settings))
        let whole = settings[partitions]
        guard settings[watch] else {
            let status = try SystemStatus(probe, settings)
            try show(status, settings[Common.json], whole)
            return status.spoiled.isEmpty ? .success : .no
        }
        let stop = StopSignal()
        try SignalWatcher.start(stop)
        let isTerminal = Terminal.columns(of: .output) != nil && !settings[Common.json]
        while !stop.isSet, !Output.isClosed {
            let status: SystemStatus
            do { status = try SystemStatus(probe, settings) } catch  where StartupWait.mayPass(error) {
                // A failover is what one watches for; the next look is through again.
                Output.error("reel status: looking again: \(error)")
                stop.wait(milliseconds: 1000)
                continue
            }
            if isTerminal {
                // Home, the lines each cleared to their end, and nothing left of what was longer before.
                let lines = status.text(withPartitions: whole).split(
                    separator: "\n", omittingEmptySubsequences: false)
                let text = lines.joined(separator: "\u{1B}[K\n")
                try Output.write(Array("\u{1B}[H\(text)\u{1B}[K\n\u{1B}[J".utf8))
            } else {
                try show(status, settings[Common.json], whole)
            }
            stop.wait(milliseconds: 1000)
        }
        return .success
    }

    private static func show(_ status: SystemStatus, _ asJSON: Bool, _ whole: Bool) throws {
        if asJSON {
            try Output.line(status.json)
        } else {
            try Output.line(status.text(withPartitions: whole))
        }
    }
}

/// The connections that looks at a system share.
final class StatusProbe {
    let system: RunningSystem
    let mongodb: String
    let queries: MongoQueries
    let views: MongoReadModels
    let spool: Spool
    let chunks: ChunkStore

    init(_ system: RunningSystem) throws {
        self.system = system
        let pool = try system.mongo()
        mongodb = pool.host
        views = MongoReadModels(pool, .all)
        queries = views.queries
        spool = try Spool(root: system.endpoints.spool)
        chunks = try system.chunks()
    }
}

/// One look at a running system.
struct SystemStatus {
    let spoiled: SpoiledReport
    private let endpoints: Endpoints
    private let server: ServerSettings
    private let condition: LogCondition
    private let redis: String
    private let mongodb: String
    private let partitions: Int
    private let stages: [LagReport]
    private let subscriptions: [LagReport]
    private let totals: RecordingTotals
    private let spool: SpoolUsage
    private let spoolLimit: Int?
    private let disk: DiskSpace
    private let guarded: DiskGuardFigures
    private let level: FormatLevel
    private let laggards: [RedisFormatLevel.Laggard]
    private let shortcoming: ReadModelShortcoming?
    private let held: HeldSessions
    private let legalHolds: Int
    private let tagCounts: Bool
    private let alarms: StoreAlarms
    private let verified: VerifiedReport

    init(_ probe: StatusProbe, _ settings: Settings) throws {
        let log = probe.system.log
        endpoints = probe.system.endpoints
        var spoiled = try SpoiledReport(of: log)
        let sound = log.leavingOut(spoiled.partitions)
        condition = try log.survey()
        server = try condition.settings ?? log.inspect()
        redis = "\(log.address)"
        let formatLevel = log.formatLevel()
        let level = try formatLevel.refresh()
        self.level = level
        laggards = try spoiled.without([]) { level < .newest ? try formatLevel.laggards() : [] }
        mongodb = probe.mongodb
        partitions = log.partitioning.count
        let groups = sound.groups()
        stages = try SubscriptionRegistry.all.groups.map(\.name).map { name in
            try spoiled.without(LagReport(name, [])) {
                LagReport(name, try groups.lag(ofGroup: name))
            }
        }
        subscriptions = try SubscriptionRegistry.all.ordered.map { subscription in
            let name = subscription.name
            return try spoiled.without(LagReport(name, [])) {
                let saved = try Self.places(of: subscription, in: sound, probe.views)
                let holders = try sound.leases().holders(name)
                return LagReport(
                    name, try groups.lag(ofSubscription: name, after: saved, holders))
            }
        }
        let summary = try spoiled.without(VerificationSummary()) {
            try VerificationSummary(of: sound, partitions: sound.counted)
        }
        verified = VerifiedReport(summary, at: try groups.time())
        totals = try probe.queries.totals()
        let store = try log.open()
        held = try HeldSessions(
            among: try probe.queries.pausedPipelines(limit: HeldSessions.limit + 1), in: store)
        var underHold = SessionFilter()
        underHold.isHeld = true
        legalHolds = try probe.queries.sessionCount(underHold)
        tagCounts = try !log.holdTagTakeover.isDone()
        shortcoming = try probe.views.shortcoming(epoch: log.epoch)
        alarms = try StoreAlarms(
            probe.views, sessions: totals.sessions.values.reduce(0, +),
            report: { try probe.system.vaultDatabase().report() }, sweep: { try probe.system.keySweep() })
        spool = try probe.spool.usage()
        spoolLimit = try Common.spoolLimit(settings)
        disk = try DiskSpace.of(endpoints.chunkStore)
        guarded = try DiskGuardFigures(
            Common.diskGuard(settings, spool: endpoints.spool, chunks: endpoints.chunkStore))
        self.spoiled = spoiled
    }

    /// How far an ordered subscription is in each partition, wherever it keeps that.
    private static func places(
        of subscription: Subscription, in log: RedisEventLog, _ views: MongoReadModels
    ) throws -> [Int: LogPosition] {
        switch subscription.checkpoint {
        case .apart: try views.progress(epoch: log.epoch, name: subscription.name)
        case .index: try subscription.indexes.first.map { try log.index($0).places() } ?? [:]
        case .log, .group: try log.checkpoints().load(subscription.name)
        }
    }

    private var sessionCounts: [(SessionStatus, Int)] {
        SessionStatus.allCases.compactMap { status in totals.sessions[status].map { (status, $0) } }
    }

    /// Why the log is not at the level that this build reads, where it is not.
    private var levelNote: String {
        guard level < .newest else { return "" }
        let reason =
            laggards.isEmpty
            ? "no process with a role has raised it yet" : laggards.map(\.description).joined(separator: ", ")
        return " of \(FormatLevel.newest): \(reason)"
    }

    func text(withPartitions whole: Bool) -> String {
        var lines = [
            "reel      \(Program.version)" + endpoints.processText,
            "redis     \(redis), version \(server.version), \(partitions) partitions",
            "          \(server.durability)",
        ]
        lines += [server.objection, server.refusal].compactMap { $0.map { "          TROUBLE: \($0)" } }
        if let worsened = condition.worsened {
            lines += ["          WARNING: \(worsened)", "          what to do: \(Self.worsenedRemedy)"]
        }
        let short = shortcoming.map { "; read models \($0); a projector mends it" } ?? ""
        let quota = spoolLimit.map { " of a quota of \(Quantity.bytes($0))" } ?? ""
        let spooled = "\(Quantity.bytes(spool.bytes))\(quota) in \(Quantity.grouped(spool.files)) files"
        let room = "\(Quantity.bytes(disk.availableBytes)) of \(Quantity.bytes(disk.totalBytes)) free"
        let takeover = tagCounts ? "; those with the tag \(HoldTag.name) are being taken over" : ""
        let recorded = "\(Quantity.bytes(totals.sizeBytes)) in \(Quantity.grouped(totals.chunks)) chunks"
        lines += [
            "archive   \(archiveText)", "level     \(level)\(levelNote)", "mongodb   \(mongodb)\(short)",
        ]
        lines += ["spool     \(spooled), \(endpoints.spool)", "chunks    \(room), \(endpoints.chunkStore)"]
        lines += ["disks     \(guarded.text)"]
        lines += ["holds     \(Quantity.grouped(legalHolds)) sessions are held by cases\(takeover)"]
        lines += ["recorded  \(recorded)", "verified  \(verified.text)", ""]
        lines += spoiled.lines + troubleLines + alarms.lines + held.lines
        lines += LagReport.table(stages + subscriptions).render() + [""]
        if whole {
            let table = LagReport.partitionTable(stages + subscriptions)
            lines += (table.isEmpty ? ["no partition is behind"] : table.render()) + [""]
        }
        var sessions = Table("SESSIONS", ">COUNT")
        for (status, count) in sessionCounts { sessions.add(status.rawValue, Quantity.grouped(count)) }
        lines += sessions.isEmpty ? ["no sessions"] : sessions.render()
        return lines.joined(separator: "\n")
    }

    private static let worsenedRemedy = "set it right, or 'reel durability accept --help'"

    private var archiveText: String {
        let events = condition.unarchived.reduce(0) { $0 + $1.events }
        let age = condition.oldestUnarchivedMilliseconds
        return "\(Quantity.grouped(events)) events in Redis"
            + (age > 0 ? ", the oldest for \(Quantity.age(milliseconds: age))" : "")
            + "; \(endpoints.archive)"
    }

    /// Partitions that are halted, and those in which the archiver is stuck.
    private var troubleLines: [String] {
        var lines = condition.halted.map { "HALTED    partition \($0.partition): \($0.reason)" }
        if !lines.isEmpty { lines += ["          what to do: 'reel partitions lift --help'", ""] }
        let stuck = StuckPartitions(condition).groups
        lines += stuck.map { "STUCK     archiver, \($0.names), since \($0.since)" }
        if !stuck.isEmpty {
            lines += ["          what to do: 'reel archive status', 'reel archive verify'", ""]
        }
        return lines
    }

    var json: JSONWriter {
        var writer = JSONWriter()
        writer.object { json in
            json.member("version", Program.version)
            if let pid = endpoints.pid { json.member("pid", pid) }
            if let startedAt = endpoints.startedAt { json.member("started_at", startedAt) }
            json.member("redis") { json in
                json.member("address", redis)
                json.member("version", server.version)
                json.member("appendonly", server.appendOnly)
                json.member("appendfsync", server.appendFsync)
                json.member("maxmemory_policy", server.maxmemoryPolicy)
                json.member("partitions", partitions)
                json.member("durability", server.durability)
                json.member("takes_writes", server.refusal == nil)
                json.member("trouble", server.objection ?? server.refusal)
                json.member("min_replicas_to_write", server.minReplicasToWrite)
                json.member("worsened", condition.worsened)
                json.member("used_bytes", server.usedBytes)
                json.member("maxmemory_bytes", server.maxmemoryBytes)
            }
            json.member("archive") { json in
                json.member("path", endpoints.archive)
                json.member("unarchived_events", condition.unarchived.reduce(0) { $0 + $1.events })
                json.member("oldest_unarchived_seconds", condition.oldestUnarchivedMilliseconds / 1000)
                json.key("stuck")
                json.array { list in
                    for stuck in condition.unarchived where !stuck.stuck.isEmpty {
                        list.object {
                            $0.member("partition", stuck.partition)
                            $0.member("reason", stuck.stuck)
                        }
                    }
                }
            }
            json.member("format_level") { json in
                json.member("level", level.number)
                json.member("newest", FormatLevel.newest.number)
                json.key("held_back_by")
                json.array { list in for laggard in laggards { list.value("\(laggard)") } }
            }
            json.key("halted_partitions")
            json.array { list in
                for halt in condition.halted {
                    list.object {
                        $0.member("partition", halt.partition)
                        $0.member("reason", halt.reason)
                    }
                }
            }
            spoiled.write(into: &json)
            verified.write(into: &json)
            alarms.write(into: &json)
            json.key("held_sessions")
            held.write(into: &json)
            json.member("legal_holds") { json in
                json.member("sessions", legalHolds)
                json.member("tag_counts", tagCounts)
            }
            json.member("mongodb") { json in
                json.member("address", mongodb)
                if let shortcoming { json.member("read_models_lack", "\(shortcoming)") }
            }
            json.key("stages")
            json.array { list in for stage in stages { stage.write(into: &list) } }
            json.key("subscriptions")
            json.array { list in for report in subscriptions { report.write(into: &list) } }
            json.member("sessions") { json in
                for (status, count) in sessionCounts {
                    json.key(dynamic: status.rawValue)
                    json.value(count)
                }
            }
            json.member("chunks_count", totals.chunks)
            json.member("size_bytes", totals.sizeBytes)
            json.key("disk_guard")
            json.array { guarded.write(into: &$0) }
            json.member("spool") { json in
                json.member("path", endpoints.spool)
                json.member("files", spool.files)
                json.member("bytes", spool.bytes)
                if let spoolLimit { json.member("quota_bytes", spoolLimit) }
            }
            json.member("chunk_store") { json in
                json.member("path", endpoints.chunkStore)
                json.member("available_bytes", disk.availableBytes)
                json.member("total_bytes", disk.totalBytes)
            }
        }
        return writer
    }
}
