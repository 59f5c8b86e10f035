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

/// `reel bench scale`: how throughput grows with the number of workers.
enum BenchScaleCommand: Command {
    static let wait = Setting(
        "item-ms", "MS", .integer(1...1000), default: "20", help: "Milliseconds that an item waits")
    static let items = Setting(
        "items", "N", .integer(10...10_000), default: "100", help: "Items for each worker")
    static let folder = Setting(
        "folder", "DIR", .path, default: ".",
        help: "Folder for the redis-server's data; a folder in it is made and removed")

    /// How many workers are tried, each on a log of its own.
    static let workers = [1, 2, 4, 8, 16]

    static let declaration = CommandDeclaration(
        "bench", "scale", summary: "Measure how throughput grows with the number of workers",
        details:
            "Workers of one stage, each a thread with connections of its own, take items that wait instead of "
            + "computing, so that cores are no limit: 1, 2, 4, 8 and 16 of them, on a redis-server that "
            + "writes every append to disk, with 16 partitions. Needs no running system.",
        options: [
            wait.declaration, items.declaration, folder.declaration, Common.json.declaration,
            Common.data.declaration, Common.config.declaration,
        ],
        examples: ["reel bench scale --json", "reel bench scale --item-ms 50 --items 200"],
        statuses: [Common.usageStatus, "3  the folder cannot be used, or redis-server is missing"])

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
        let url = EmbeddedRedis(folder: "", port: server.port).url
        let benchmark = ScaleBenchmark(
            waitMilliseconds: try settings.require(wait), itemsPerWorker: try settings.require(items))
        var results: [ScaleBenchmark.Result] = []
        for (database, count) in workers.enumerated() {
            if stop.isSet { throw CommandFailure(.interrupted, "interrupted") }
            Output.error("measuring \(count) \(count == 1 ? "worker" : "workers") …")
            // Each run has a log of its own, in a database of its own.
            let log = try RedisEventLog.open("\(url)/\(database)", createWith: 16)
            results.append(try benchmark.run(workers: count, log: log))
        }
        if settings[Common.json] { try Output.line(json(benchmark, results)) } else { try text(results) }
        return .success
    }

    /// Against one worker.
    private static func growth(_ result: ScaleBenchmark.Result, _ results: [ScaleBenchmark.Result]) -> Double
    {
        result.rate / (results.first?.rate ?? result.rate)
    }

    private static func json(
        _ benchmark: ScaleBenchmark, _ results: [ScaleBenchmark.Result]
    ) -> JSONWriter {
        var writer = JSONWriter()
        writer.object { json in
            json.member("benchmark", "scale")
            json.member("item_ms", benchmark.waitMilliseconds)
            json.member("partitions", 16)
            json.key("results")
            json.array { list in
                for result in results {
                    list.object { json in
                        json.member("workers", result.workers)
                        json.member("items", result.items)
                        json.member("seconds", result.seconds)
                        json.member("items_per_second", result.rate)
                        json.member("growth", growth(result, results))
                        json.member("ratio", growth(result, results) / Double(result.workers))
                        json.member("least_busy_worker_items", result.perWorker.lowerBound)
                        json.member("most_busy_worker_items", result.perWorker.upperBound)
                        json.member("halfway_least_partition_items", result.halfwayPerPartition.lowerBound)
                        json.member("halfway_most_partition_items", result.halfwayPerPartition.upperBound)
                        json.member("repeated_items", result.repeated)
                    }
                }
            }
        }
        return writer
    }

    private static func text(_ results: [ScaleBenchmark.Result]) throws {
        var table = Table(
            ">WORKERS", ">ITEMS/S", ">GROWTH", ">OF PERFECT", ">PER WORKER", ">PER PARTITION, HALFWAY")
        for result in results {
            let growth = growth(result, results)
            table.add(
                "\(result.workers)", Ratio.text(result.rate), Ratio.text(growth),
                Ratio.text(growth / Double(result.workers)),
                "\(result.perWorker.lowerBound)…\(result.perWorker.upperBound)",
                "\(result.halfwayPerPartition.lowerBound)…\(result.halfwayPerPartition.upperBound)")
        }
        try Output.table(table, empty: "no results")
    }
}
