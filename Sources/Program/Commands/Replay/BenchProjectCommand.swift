import Bench
import Base
import Console
import EventSourcing

/// `reel bench project`: how fast read models are built, against bare bulk writes of the same documents.
enum BenchProjectCommand: Command {
    static let events = Setting(
        "events", "N", .integer(1_000...10_000_000), default: "200000", help: "Events that are projected")

    static let declaration = CommandDeclaration(
        "bench", "project", summary: "Measure the projection against its ceiling",
        details:
            "Projects a log of recorded sessions with a redis-server and a mongod of its own, and writes the "
            + "same documents by bare bulk writes, with the same options and indexes, in the same run. Needs no "
            + "running system.",
        options: [events.declaration] + BenchSetup.options,
        examples: ["reel bench project --json", "reel bench project --events 1000000 --folder /srv/reel"],
        statuses: BenchSetup.statuses("redis-server or mongod"))

    static func run(_ settings: Settings) throws -> ExitStatus {
        let events = try settings.require(events)
        var result = ProjectBenchmark.Result()
        try BenchSetup.run(settings) { setup in
            try setup.withMongo { pool, _ in
                let benchmark = ProjectBenchmark(log: setup.log, pool: pool, views: .all, events: events)
                result = try benchmark.run(setup.tell)
            }
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
