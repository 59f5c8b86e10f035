import Console
import EventSourcing
import Foundation
import Glibc
import Pipeline
import RedisLog
import Supervision
import Vault

/// `reel bench seal`: how fast the sealing path is, against the same C libraries in a bare loop.
enum BenchSealCommand: Command {
    static let chunks = Setting(
        "chunks", "N", .integer(4...10_000), default: "64", help: "Chunks that are sealed in each run")
    static let workers = Setting(
        "workers", "N", .integer(1...256), variable: "REEL_WORKERS", defaultNote: "the number of cores",
        help: "Threads that seal")
    static let folder = Setting(
        "folder", "DIR", .path, default: ".",
        help: "Folder on the disk that is to be measured; a folder in it is made and removed")

    static let declaration = CommandDeclaration(
        "bench", "seal", summary: "Measure the sealing path against its ceiling",
        details:
            "Seals random and compressible bytes, recorded to stored and durable, with a redis-server of "
            + "its own, and does the same with the C libraries alone in the same run. Needs no running system.",
        options: [
            chunks.declaration, Common.chunkSize.declaration, workers.declaration, folder.declaration,
            Common.json.declaration, Common.data.declaration, Common.config.declaration,
        ],
        examples: ["reel bench seal --json", "reel bench seal --chunks 200 --folder /srv/reel"],
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
        let log = try RedisEventLog.open(
            EmbeddedRedis(folder: "", port: server.port).url, createWith: 16)
        let vault = VaultAccess(
            spool: try Spool(root: "\(place)/spool"), chunks: try ChunkStore(root: "\(place)/chunks"),
            ring: try KeyRing.open(folder: "\(place)/keys"), archive: InMemoryKeyArchive())
        let benchmark = SealBenchmark(
            chunkBytes: try settings.require(Common.chunkSize), chunkCount: try settings.require(chunks),
            workers: settings[workers] ?? Machine.cores, folder: place)
        var results: [SealBenchmark.Result] = []
        for content in SealBenchmark.Content.allCases {
            if stop.isSet { throw CommandFailure(.interrupted, "interrupted") }
            Output.error("measuring \(content.rawValue) bytes …")
            results.append(try benchmark.run(content, log: log, vault: vault))
        }
        if settings[Common.json] { try Output.line(json(benchmark, results)) } else { try text(results) }
        return .success
    }

    private static func json(_ benchmark: SealBenchmark, _ results: [SealBenchmark.Result]) -> JSONWriter {
        var writer = JSONWriter()
        writer.object { json in
            json.member("benchmark", "seal")
            json.member("chunk_bytes", benchmark.chunkBytes)
            json.member("chunks", benchmark.chunkCount)
            json.member("workers", benchmark.workers)
            json.key("results")
            json.array { list in
                for result in results {
                    list.object { json in
                        json.member("content", result.content.rawValue)
                        json.member("megabytes_per_second", result.rate)
                        json.member("ceiling_megabytes_per_second", result.ceiling)
                        json.member("ratio", result.ratio)
                        json.member("chunks_per_minute", result.chunksPerMinute)
                        json.member("processing_ms_p50", result.processingP50)
                        json.member("processing_ms_p95", result.processingP95)
                        json.member("latency_ms_p95", result.latencyP95)
                        json.member("compression_ratio", result.compressionRatio)
                    }
                }
            }
        }
        return writer
    }

    private static func text(_ results: [SealBenchmark.Result]) throws {
        var table = Table(
            "CONTENT", ">MB/S", ">CEILING", ">OF IT", ">CHUNKS/MIN", ">P50 MS", ">P95 MS", ">LATENCY P95 MS")
        for result in results {
            table.add(
                result.content.rawValue, Ratio.text(result.rate), Ratio.text(result.ceiling),
                Ratio.text(result.ratio), Quantity.grouped(Int(result.chunksPerMinute)),
                Ratio.text(result.processingP50), Ratio.text(result.processingP95),
                Ratio.text(result.latencyP95))
        }
        try Output.table(table, empty: "no results")
    }
}
