internal import Bench
import Base
import Console
import EventSourcing
import HTTPLoad
import HTTPServer

/// `reel bench api`: how fast the gateway answers, against libmicrohttpd alone.
enum BenchAPICommand: Command {
    static let connections = Setting(
        "connections", "N", .integer(100...100_000), default: "10000",
        help: "Open connections of the second part; the first one has 100")
    static let seconds = Setting(
        "seconds", "N", .integer(1...600), default: "3", help: "How long each figure is measured in a round")
    static let rounds = Setting(
        "rounds", "N", .integer(1...20), default: "3", help: "Rounds; the median of each figure is shown")
    static let sessions = Setting(
        "sessions", "N", .integer(1...10_000), default: "500", help: "Sessions that are read, of 20 chunks")
    static let inFlight = Setting(
        "in-flight", "N", .integer(1...10_000), default: "100",
        help: "Requests under way at once, on all connections in turn")
    static let createRate = Setting(
        "create-rate", "N", .integer(1...100_000), default: "200",
        help: "Sessions made in a second where that is at a fixed rate")

    static let declaration = CommandDeclaration(
        "bench", "api", summary: "Measure the API against libmicrohttpd alone",
        details:
            "Starts 'reel serve api projector' with a redis-server and a mongod of its own, and asks for "
            + "sessions and chunk lists, and makes sessions, with 100 and with --connections open connections. "
            + "The same bytes are then answered by 'reel bench bare' in the same run. Client and servers share "
            + "the machine. Limits on requests are raised. Needs no running system.",
        options: [
            connections.declaration, seconds.declaration, rounds.declaration, sessions.declaration,
            inFlight.declaration, createRate.declaration,
        ] + BenchSetup.options,
        examples: ["reel bench api --json", "reel bench api --seconds 10 --rounds 5 --folder /srv/reel"],
        statuses: [
            "1  some requests were not answered as they should be"
        ] + BenchSetup.statuses("redis-server or mongod"))

    /// Connections of the first part.
    private static let few = 100

    static func run(_ settings: Settings) throws -> ExitStatus {
        let wanted = try settings.require(connections)
        let many = raiseFileLimit(toHold: wanted)
        if many < wanted {
            Output.error(
                "reel bench: the system lets a process open so few files that \(many) connections are "
                    + "measured instead of \(wanted); see ulimit -Hn")
        }
        let inFlight = try settings.require(inFlight)
        var result: APIBenchmark.Result?
        try BenchSetup.run(settings) { setup in
            try setup.withMongo { pool, url in
                result = try APIBenchmark(
                    setup: setup, pool: pool, mongoURL: url,
                    milliseconds: try settings.require(seconds) * 1000, rounds: try settings.require(rounds),
                    connections: many > few ? [few, many] : [few], inFlight: inFlight,
                    sessions: try settings.require(sessions),
                    createsPerSecond: try settings.require(createRate)
                ).run()
            }
        }
        guard let result else { return .dependency }
        if settings[Common.json] {
            try Output.line(json(result, inFlight))
        } else {
            try text(result, inFlight)
        }
        return result.figures.allSatisfy { $0.failed == 0 } ? .success : .no
    }

    private static func json(_ result: APIBenchmark.Result, _ inFlight: Int) -> JSONWriter {
        var writer = JSONWriter()
        writer.object { json in
            json.member("benchmark", "api")
            json.member("cores", Processors.online)
            json.member("in_flight", inFlight)
            json.key("results")
            json.array { list in
                for figure in result.figures { list.object { json in write(figure, into: &json) } }
            }
            json.member("stores") { json in
                json.member("mongodb_find_one_per_second", result.stores.finds)
                json.member("redis_append_per_second", result.stores.appends)
            }
            json.key("gateway_memory")
            json.array { list in
                for (count, bytes) in result.residentBytes.sorted(by: { $0.key < $1.key }) {
                    list.object { json in
                        json.member("connections", count)
                        json.member("resident_bytes", bytes)
                    }
                }
            }
            json.member("connections_reopened", result.reopened)
        }
        return writer
    }

    private static func write(_ figure: APIBenchmark.Figure, into json: inout JSONWriter) {
        json.member("operation", figure.operation.rawValue)
        json.member("connections", figure.connections)
        json.member("requests", figure.ours.answered)
        json.member("failed", figure.failed)
        json.member("body_bytes", figure.ours.bodyBytes)
        json.member("requests_per_second", figure.ours.perSecond)
        json.member("p50_ms", figure.ours.percentile(0.5))
        json.member("p95_ms", figure.ours.percentile(0.95))
        json.member("p99_ms", figure.ours.percentile(0.99))
        json.member("ceiling_requests_per_second", figure.bare?.perSecond)
        json.member("ceiling_p99_ms", figure.bare?.percentile(0.99))
        json.member("ratio", figure.ratio)
    }

    private static func text(_ result: APIBenchmark.Result, _ inFlight: Int) throws {
        var table = Table(
            "WHAT", ">CONNECTIONS", ">REQUESTS/S", ">P50 MS", ">P95 MS", ">P99 MS", ">FAILED", ">CEILING/S",
            ">OF IT")
        for figure in result.figures {
            table.add(
                figure.operation.rawValue, Quantity.grouped(figure.connections),
                Quantity.grouped(Int(figure.ours.perSecond)), milliseconds(figure.ours, 0.5),
                milliseconds(figure.ours, 0.95), milliseconds(figure.ours, 0.99),
                Quantity.grouped(figure.failed),
                figure.bare.map { Quantity.grouped(Int($0.perSecond)) } ?? "", Ratio.text(figure.ratio))
        }
        try Output.table(table, empty: "no results")
        try Output.line("requests under way at once: \(inFlight)")
        try Output.line("MongoDB alone: \(Quantity.grouped(Int(result.stores.finds))) find_one a second")
        try Output.line(
            "Redis alone: \(Quantity.grouped(Int(result.stores.appends))) synced appends a second")
        for (count, bytes) in result.residentBytes.sorted(by: { $0.key < $1.key }) {
            try Output.line(
                "gateway with \(Quantity.grouped(count)) connections: \(Quantity.bytes(bytes)) resident")
        }
    }

    private static func milliseconds(_ result: LoadResult, _ share: Double) -> String {
        Ratio.text(result.percentile(share))
    }
}
