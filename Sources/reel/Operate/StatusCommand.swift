import Console
import EventSourcing
import MongoViews
import Pipeline
import RedisLog
import Recording
import Vault

/// `reel status`: how the running system is.
enum StatusCommand: Command {
    static let declaration = CommandDeclaration(
        "status", summary: "Show how the running system is",
        details:
            "Servers, what an append has survived once it is acknowledged, how far each stage is behind, "
            + "sessions by status, and room on the disks.",
        options: [Common.diskReserve.declaration, Common.json.declaration] + Common.places,
        examples: ["reel status", "reel status --json"],
        statuses: [Common.usageStatus, Common.dependencyStatus])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let system = try RunningSystem(settings)
        let status = try SystemStatus(of: system, settings)
        if settings[Common.json] { try Output.line(status.json) } else { try Output.line(status.text) }
        return .success
    }
}

/// One look at a running system.
struct SystemStatus {
    private let endpoints: Endpoints
    private let server: ServerSettings
    private let redis: String
    private let mongodb: String
    private let partitions: Int
    private let stages: [StageFigures]
    private let followers: [(name: String, behind: Int)]
    private let totals: RecordingTotals
    private let spool: SpoolUsage
    private let disk: DiskSpace
    private let guarded: DiskGuardFigures

    init(of system: RunningSystem, _ settings: Settings) throws {
        endpoints = system.endpoints
        server = try system.log.inspect()
        redis = "\(system.log.address)"
        let pool = try system.mongo()
        mongodb = pool.host
        partitions = system.log.partitioning.count
        let groups = system.log.groups()
        stages = try StageName.allCases.map { stage in
            // A stage that no worker has ever joined has no figures: what it would take up is all ahead.
            StageFigures(stage, try groups.backlog(of: stage.rawValue))
        }
        let views = MongoReadModels(pool)
        let checkpoints = [
            ("completion", try system.log.checkpoints().load("completion")),
            ("projector", try views.projection(epoch: system.log.epoch).checkpoints()),
        ]
        followers = try checkpoints.map { name, saved in
            let positions = (0..<system.log.partitioning.count).map { saved[$0] ?? .start(of: $0) }
            return (name, try groups.remaining(after: positions).reduce(0, +))
        }
        totals = try views.queries.totals()
        spool = try Spool(root: system.endpoints.spool).usage()
        disk = try system.chunks().diskSpace()
        guarded = try DiskGuardFigures(
            Common.diskGuard(settings, spool: system.endpoints.spool, chunks: system.endpoints.chunkStore))
    }

    private var sessionCounts: [(SessionStatus, Int)] {
        SessionStatus.allCases.compactMap { status in totals.sessions[status].map { (status, $0) } }
    }

    var text: String {
        var lines = [
            "reel      \(Program.version)" + endpoints.processText,
            "redis     \(redis), version \(server.version), \(partitions) partitions",
            "          \(server.durability)",
            "mongodb   \(mongodb)",
            "spool     \(Quantity.bytes(spool.bytes)) in \(Quantity.grouped(spool.files)) files, \(endpoints.spool)",
            "chunks    \(Quantity.bytes(disk.availableBytes)) of \(Quantity.bytes(disk.totalBytes)) free, "
                + endpoints.chunkStore,
            "disks     \(guarded.text)",
            "recorded  \(Quantity.bytes(totals.sizeBytes)) in \(Quantity.grouped(totals.chunks)) chunks", "",
        ]
        var table = Table("STAGE", ">BEHIND", ">PENDING", ">PARKED")
        for stage in stages {
            table.add(stage.name, stage.behind, stage.pending, stage.parked)
        }
        for follower in followers { table.add(follower.name, Quantity.grouped(follower.behind), "-", "-") }
        lines += table.render() + [""]
        var sessions = Table("SESSIONS", ">COUNT")
        for (status, count) in sessionCounts { sessions.add(status.rawValue, Quantity.grouped(count)) }
        lines += sessions.isEmpty ? ["no sessions"] : sessions.render()
        return lines.joined(separator: "\n")
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
            }
            json.member("mongodb") { $0.member("address", mongodb) }
            json.key("stages")
            json.array { list in for stage in stages { Self.write(stage, into: &list) } }
            json.key("subscriptions")
            json.array { list in
                for follower in followers {
                    list.object {
                        $0.member("name", follower.name)
                        $0.member("behind", follower.behind)
                    }
                }
            }
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
            }
            json.member("chunk_store") { json in
                json.member("path", endpoints.chunkStore)
                json.member("available_bytes", disk.availableBytes)
                json.member("total_bytes", disk.totalBytes)
            }
        }
        return writer
    }

    private static func write(_ stage: StageFigures, into list: inout JSONWriter) {
        list.object { json in
            json.member("name", stage.name)
            json.member("has_workers", stage.backlog != nil)
            json.member("behind", stage.backlog?.behind ?? 0)
            json.member("pending", stage.backlog?.pending ?? 0)
            json.member("parked", stage.backlog?.parked ?? 0)
        }
    }
}

/// A stage's figures, as they are shown.
private struct StageFigures {
    let name: String
    /// Nil while no worker has ever joined.
    let backlog: GroupBacklog?

    init(_ stage: StageName, _ backlog: GroupBacklog?) {
        name = stage.rawValue
        self.backlog = backlog
    }

    var behind: String { backlog.map { Quantity.grouped($0.behind) } ?? "no workers yet" }
    var pending: String { backlog.map { Quantity.grouped($0.pending) } ?? "" }
    var parked: String { backlog.map { Quantity.grouped($0.parked) } ?? "" }
}
