import Bench
import Base
import Console
import EmbeddedServers
import EventSourcing
import Foundation
import Glibc
import Pipeline
import RedisLog
import Supervision

/// `reel bench growth`: what a log costs that grows and grows.
enum BenchGrowthCommand: Command {
    static let events = Setting(
        "events", "N", .integer(10_000...100_000_000), default: "1000000", help: "Events that are appended")
    static let folder = Setting(
        "folder", "DIR", .path, default: ".",
        help: "Folder on the disk that is to be measured; a folder in it is made and removed")

    static let declaration = CommandDeclaration(
        "bench", "growth", summary: "Measure a log that grows while it is archived",
        details:
            "Appends the events of recorded sessions to a redis-server of its own as fast as it takes them, "
            + "archives them as 'reel up' does, and then reads all of it through Redis and archive. Memory of "
            + "the server is looked at twice a second. Needs no running system.",
        options: [
            events.declaration, folder.declaration, SystemSettings.archiveAfterEvents.declaration,
            SystemSettings.archiveEvery.declaration, Common.json.declaration, Common.data.declaration,
            Common.config.declaration,
        ],
        examples: ["reel bench growth --json", "reel bench growth --events 10000000 --folder /srv/reel"],
        statuses: [
            "1  what was read back is not what was appended", Common.usageStatus,
            "3  the folder cannot be used, or redis-server is missing",
        ])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let stop = StopSignal()
        try SignalWatcher.start(stop)
        let base = try DataFolder(creating: try settings.require(folder))
        let place = "\(base.path)/reel-bench-\(getpid())"
        defer { try? FileManager.default.removeItem(atPath: place) }
        try DataFolder.make(place)
        let server = SupervisedServer.redis(
            folder: "\(place)/redis", report: { Output.error("reel bench: \($0)") })
        try server.start(stop: stop)
        defer { server.stop() }
        var options = RedisEventLog.Options()
        options.archive = FileSegmentStore(root: "\(place)/archive")
        let log = try RedisEventLog.open(
            EmbeddedRedis(folder: "", port: server.port).url, createWith: 16, options: options)
        var policy = ArchivePolicy()
        policy.afterEvents = try settings.require(SystemSettings.archiveAfterEvents)
        let benchmark = GrowthBenchmark(
            log: log, archive: "\(place)/archive", policy: policy,
            pause_ms: try settings.require(SystemSettings.archiveEvery) * 1000,
            events: try settings.require(events), stop: stop)
        let result = try benchmark.run { Output.error($0) }
        if settings[Common.json] { try Output.line(json(result)) } else { try text(result) }
        return .success
    }

    private static func json(_ result: GrowthBenchmark.Result) -> JSONWriter {
        var writer = JSONWriter()
        writer.object { json in
            json.member("benchmark", "growth")
            json.member("events", result.events)
            json.member("sessions", result.sessions)
            json.member("append_events_per_second", result.appendRate)
            json.member("archive_events_per_second", result.archiveRate)
            json.member("read_events_per_second", result.readRate)
            json.member("verify_events_per_second", result.verifyRate)
            json.member("load_session_ms", result.load_ms)
            json.member("redis_bytes_at_rest", result.redisBytesAtRest)
            json.member("archive_bytes", result.archiveBytes)
            json.member("archive_segments", result.segments)
            json.member("peak_rss_growing_bytes", result.growingRSS)
            json.member("peak_rss_reading_bytes", result.readingRSS)
            json.key("tenths")
            json.array { list in
                for tenth in result.tenths {
                    list.object { json in
                        json.member("appended", tenth.appended)
                        json.member("archived", tenth.archived)
                        json.member("append_events_per_second", tenth.appendRate)
                        json.member("redis_bytes_min", tenth.redisBytes.lowerBound)
                        json.member("redis_bytes_max", tenth.redisBytes.upperBound)
                    }
                }
            }
        }
        return writer
    }

    private static func text(_ result: GrowthBenchmark.Result) throws {
        var table = Table(">APPENDED", ">ARCHIVED", ">EVENTS/S", ">REDIS LEAST", ">REDIS MOST")
        for tenth in result.tenths {
            table.add(
                Quantity.grouped(tenth.appended), Quantity.grouped(tenth.archived),
                Quantity.grouped(Int(tenth.appendRate)), Quantity.bytes(tenth.redisBytes.lowerBound),
                Quantity.bytes(tenth.redisBytes.upperBound))
        }
        try Output.table(table, empty: "no results")
        func rate(_ value: Double) -> String { "\(Quantity.grouped(Int(value))) events/s" }
        var lines = [
            "appended  \(rate(result.appendRate)), \(Quantity.grouped(result.sessions)) sessions",
            "archived  \(rate(result.archiveRate)) while at work, \(Quantity.bytes(result.archiveBytes)) in "
                + "\(Quantity.grouped(result.segments)) segments",
            "in Redis  \(Quantity.bytes(result.redisBytesAtRest)) with everything archived",
            "read      \(rate(result.readRate)); verified \(rate(result.verifyRate)); an archived session "
                + "loads in \(Int(result.load_ms * 1000)) µs",
        ]
        if let growing = result.growingRSS, let reading = result.readingRSS {
            lines.append(
                "memory    at most \(Quantity.bytes(growing)) while it grew, \(Quantity.bytes(reading)) while "
                    + "it was read")
        }
        try Output.line(lines.joined(separator: "\n"))
    }
}
