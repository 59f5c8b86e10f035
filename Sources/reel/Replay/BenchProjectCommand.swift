import Console
import EventSourcing
import Foundation
import Glibc
import MongoViews
import RedisLog
import Supervision

/// `reel bench project`: how fast read models are built, against bare bulk writes of the same documents.
enum BenchProjectCommand: Command {
    static let events = Setting(
        "events", "N", .integer(1_000...10_000_000), default: "200000", help: "Events that are projected")
    static let folder = Setting(
        "folder", "DIR", .path, default: ".",
        help: "Folder on the disk that is to be measured; a folder in it is made and removed")

    static let declaration = CommandDeclaration(
        "bench", "project", summary: "Measure the projection against its ceiling",
        details:
            "Projects a log of recorded sessions with a redis-server and a mongod of its own, and writes the "
            + "same documents by bare bulk writes, with the same options and indexes, in the same run. Needs no "
            + "running system.",
        options: [
            events.declaration, folder.declaration, Common.json.declaration, Common.data.declaration,
            Common.config.declaration,
        ],
        examples: ["reel bench project --json", "reel bench project --events 1000000 --folder /srv/reel"],
        statuses: [Common.usageStatus, "3  the folder cannot be used, or redis-server or mongod is missing"])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let stop = StopSignal()
        try SignalWatcher.start(stop)
        let base = try DataFolder(creating: try settings.require(folder))
        let place = "\(base.path)/reel-bench-\(getpid())"
        defer { try? FileManager.default.removeItem(atPath: place) }
        try DataFolder.make(place)
        let redis = SupervisedServer.redis(
            folder: "\(place)/redis", report: { Output.error("reel bench: \($0)") })
        let mongo = SupervisedServer.mongo(
            folder: "\(place)/mongodb", report: { Output.error("reel bench: \($0)") })
        try redis.start(stop: stop)
        defer { redis.stop() }
        try mongo.start(stop: stop)
        defer { mongo.stop() }
        let log = try RedisEventLog.open(EmbeddedRedis(folder: "", port: redis.port).url, createWith: 16)
        let pool = try MongoPool(MongoSettings(url: EmbeddedMongo(folder: "", port: mongo.port).url))
        let benchmark = ProjectBenchmark(log: log, pool: pool, events: try settings.require(events))
        let result = try benchmark.run { text in
            if stop.isSet { throw CommandFailure(.interrupted, "interrupted") }
            Output.error(text)
        }
        if settings[Common.json] { try Output.line(json(result)) } else { try text(result) }
        return .success
    }

    private static func json(_ result: ProjectBenchmark.Result) -> JSONWriter {
        var writer = JSONWriter()
        writer.object { json in
            json.member("benchmark", "project")
            json.member("events", result.events)
            json.member("documents", result.documents)
            json.member("document_bytes", result.documentBytes)
            json.member("events_per_second", result.rate)
            json.member("ceiling_events_per_second", result.ceiling)
            json.member("ratio", result.ratio)
            json.member("plain_xrange_events_per_second", result.plainRead)
            json.member("read_events_per_second", result.read)
            json.member("fold_events_per_second", result.fold)
            json.member("peak_rss_bytes", result.peakRSS)
        }
        return writer
    }

    private static func text(_ result: ProjectBenchmark.Result) throws {
        var table = Table("WHAT", ">EVENTS/S")
        let rows = [
            ("projection, read to written", result.rate), ("bare bulk writes", result.ceiling),
            ("bare XRANGE", result.plainRead), ("read and decoded", result.read),
            ("folded to documents", result.fold),
        ]
        for (name, rate) in rows { table.add(name, Quantity.grouped(Int(rate))) }
        try Output.table(table, empty: "no results")
        try Output.line("ratio to bare bulk writes: \(Ratio.text(result.ratio))")
        if let peak = result.peakRSS { try Output.line("peak memory: \(Quantity.bytes(peak))") }
    }
}
