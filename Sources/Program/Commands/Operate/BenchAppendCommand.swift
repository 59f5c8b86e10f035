import Bench
import Base
import Console
import EventSourcing

/// `reel bench append`: how fast the log takes events, against what the server can do at all.
enum BenchAppendCommand: Command {
    static let events = Setting(
        "events", "N", .integer(2000...1_000_000), default: "40000",
        help: "Events in each run; there are six runs")

    static let declaration = CommandDeclaration(
        "bench", "append", summary: "Measure appends against their ceiling",
        details:
            "Appends events with version check and idempotency, 1, 4 and 20 a call, to a redis-server of "
            + "its own that writes every append to disk, and the same bytes by plain pipelined XADD in the same "
            + "run. Needs no running system.",
        options: [events.declaration] + BenchSetup.options,
        examples: ["reel bench append --json", "reel bench append --events 200000 --folder /dev/shm"],
        statuses: BenchSetup.statuses("redis-server"))

    static func run(_ settings: Settings) throws -> ExitStatus {
        let benchmark = AppendBenchmark(events: try settings.require(events))
        var results: [AppendBenchmark.Result] = []
        try BenchSetup.run(settings) { setup in
            for count in [1, 4, 20] {
                try setup.tell("measuring \(count) events a call …")
                results.append(try benchmark.run(eventsPerCall: count, log: setup.log))
            }
        }
        if settings[Common.json] { try Output.line(json(results)) } else { try text(results) }
        return .success
    }

    private static func json(_ results: [AppendBenchmark.Result]) -> JSONWriter {
        var writer = JSONWriter()
        writer.object { json in
            json.member("benchmark", "append")
            json.key("results")
            json.array { list in
                for result in results {
                    list.object { json in
                        json.member("events_per_call", result.eventsPerCall)
                        json.member("events", result.events)
                        json.member("bytes_per_event", result.bytesPerEvent)
                        json.member("events_per_second", result.rate)
                        json.member("ceiling_events_per_second", result.ceiling)
                        json.member("ratio", result.ratio)
                    }
                }
            }
        }
        return writer
    }

    private static func text(_ results: [AppendBenchmark.Result]) throws {
        var table = Table(">EVENTS/CALL", ">EVENTS/S", ">CEILING", ">OF IT", ">BYTES/EVENT")
        for result in results {
            table.add(
                "\(result.eventsPerCall)", Quantity.grouped(Int(result.rate)),
                Quantity.grouped(Int(result.ceiling)), Ratio.text(result.ratio),
                Quantity.grouped(result.bytesPerEvent))
        }
        try Output.table(table, empty: "no results")
    }
}
