import Base
import Console
import EventSourcing
import HTTPServer

/// `reel bench live`: thousands of followers of live events on one gateway.
enum BenchLiveCommand: Command {
    static let followers = Setting(
        "followers", "N", .integer(10...100_000), default: "5000", help: "Followers at once")
    static let seconds = Setting(
        "seconds", "N", .integer(1...600), default: "10", help: "How long events are appended in each part")
    static let rate = Setting(
        "rate", "N", .integer(1...1000), default: "5",
        help: "Events in a second of the one session that everybody follows")
    static let manyRate = Setting(
        "many-rate", "N", .integer(1...10_000), default: "200",
        help: "Events in a second of all sessions together that ten follow each")

    static let declaration = CommandDeclaration(
        "bench", "live", summary: "Measure thousands of followers of live events",
        details:
            "Starts 'reel serve api' with a redis-server and a mongod of its own. All followers follow one "
            + "session, then ten each of many; events are appended at a fixed rate, and each must come to each "
            + "of its followers once and in order. Times run from just before the append to the arrival. "
            + "Client and servers share the machine. Needs no running system.",
        options: [
            followers.declaration, seconds.declaration, rate.declaration, manyRate.declaration,
        ] + BenchSetup.options,
        examples: ["reel bench live --json", "reel bench live --followers 1000 --rate 50"],
        statuses: [
            "1  some events did not come to some followers"
        ] + BenchSetup.statuses("redis-server or mongod"))

    static func run(_ settings: Settings) throws -> ExitStatus {
        let wanted = try settings.require(followers)
        let count = raiseFileLimit(toHold: wanted)
        if count < wanted {
            Output.error(
                "reel bench: the system lets a process open so few files that \(count) followers are "
                    + "measured instead of \(wanted); see ulimit -Hn")
        }
        var result: LiveBenchmark.Result?
        try BenchSetup.run(settings) { setup in
            try setup.withMongo { _, url in
                result = try LiveBenchmark(
                    setup: setup, mongoURL: url, followers: count, seconds: try settings.require(seconds),
                    rates: [
                        .oneSession: try settings.require(rate),
                        .manySessions: try settings.require(manyRate),
                    ]
                ).run()
            }
        }
        guard let result else { return .dependency }
        if settings[Common.json] { try Output.line(json(result)) } else { try text(result) }
        return result.figures.allSatisfy { $0.failed == 0 } ? .success : .no
    }

    private static func json(_ result: LiveBenchmark.Result) -> JSONWriter {
        var writer = JSONWriter()
        writer.object { json in
            json.member("benchmark", "live")
            json.member("cores", Processors.online)
            json.key("results")
            json.array { list in
                for figure in result.figures { list.object { json in write(figure, into: &json) } }
            }
            json.member("gateway_memory") { json in
                json.member("followers", result.followers)
                json.member("resident_bytes_before", result.residentBefore)
                json.member("resident_bytes", result.residentWith)
                json.member("bytes_per_follower", result.bytesPerFollower)
            }
        }
        return writer
    }

    private static func write(_ figure: LiveBenchmark.Figure, into json: inout JSONWriter) {
        json.member("operation", figure.crowd.rawValue)
        json.member("followers", figure.followers)
        json.member("sessions", figure.sessions)
        json.member("appended", figure.appended)
        json.member("delivered", figure.delivered)
        json.member("failed", figure.failed)
        json.member(
            "deliveries_per_second", figure.seconds > 0 ? Double(figure.delivered) / figure.seconds : 0)
        json.member("p50_ms", figure.percentile(0.5))
        json.member("p95_ms", figure.percentile(0.95))
        json.member("p99_ms", figure.percentile(0.99))
        json.member("max_ms", figure.percentile(1))
        json.member("gateway_cpu_seconds", figure.gatewaySeconds)
        json.member("gateway_cores", figure.seconds > 0 ? figure.gatewaySeconds / figure.seconds : 0)
        json.member("gateway_cpu_us_per_delivery", figure.microsecondsPerDelivery)
    }

    private static func text(_ result: LiveBenchmark.Result) throws {
        var table = Table(
            "WHAT", ">FOLLOWERS", ">SESSIONS", ">EVENTS", ">DELIVERED", ">FAILED", ">P50 MS", ">P95 MS",
            ">P99 MS", ">CPU µS EACH")
        for figure in result.figures {
            table.add(
                figure.crowd.rawValue, Quantity.grouped(figure.followers), Quantity.grouped(figure.sessions),
                Quantity.grouped(figure.appended), Quantity.grouped(figure.delivered),
                Quantity.grouped(figure.failed), Ratio.text(figure.percentile(0.5)),
                Ratio.text(figure.percentile(0.95)), Ratio.text(figure.percentile(0.99)),
                Ratio.text(figure.microsecondsPerDelivery))
        }
        try Output.table(table, empty: "no results")
        try Output.line(
            "gateway with \(Quantity.grouped(result.followers)) followers: "
                + "\(Quantity.bytes(result.residentWith)) resident, "
                + "\(Quantity.bytes(result.bytesPerFollower)) for each")
    }
}

extension LiveBenchmark.Figure {
    /// Processor time of the gateway for each event that came to a follower.
    fileprivate var microsecondsPerDelivery: Double {
        delivered > 0 ? gatewaySeconds * 1_000_000 / Double(delivered) : 0
    }
}
