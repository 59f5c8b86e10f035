import Bench
import Base
import Console
import EventSourcing
import Pipeline
import Supervision
import ChunkFiles
import Sealing

/// `reel bench seal`: how fast the sealing path is, against the same C libraries in a bare loop.
enum BenchSealCommand: Command {
    static let chunks = Setting(
        "chunks", "N", .integer(4...10_000), default: "64", help: "Chunks that are sealed in each run")
    static let workers = Setting(
        "workers", "N", .integer(1...256), variable: "REEL_WORKERS", defaultNote: "the number of cores",
        help: "Threads that seal")

    static let declaration = CommandDeclaration(
        "bench", "seal", summary: "Measure the sealing path against its ceiling",
        details:
            "Seals random and compressible bytes, recorded to stored and durable, with a redis-server of "
            + "its own, and does the same with the C libraries alone in the same run. Needs no running system.",
        options: [chunks.declaration, Common.chunkSize.declaration, workers.declaration] + BenchSetup.options,
        examples: ["reel bench seal --json", "reel bench seal --chunks 200 --folder /srv/reel"],
        statuses: BenchSetup.statuses("redis-server"))

    static func run(_ settings: Settings) throws -> ExitStatus {
        var results: [SealBenchmark.Result] = []
        var benchmark = SealBenchmark(
            chunkBytes: try settings.require(Common.chunkSize), chunkCount: try settings.require(chunks),
            workers: settings[workers] ?? Processors.online, folder: "")
        try BenchSetup.run(settings) { setup in
            benchmark.folder = setup.place
            let vault = VaultAccess(
                spool: try Spool(root: "\(setup.place)/spool"),
                chunks: try ChunkStore(root: "\(setup.place)/chunks"),
                ring: try KeyRing.open(folder: "\(setup.place)/keys"), archive: InMemoryKeyArchive())
            for content in SealBenchmark.Content.allCases {
                try setup.tell("measuring \(content.rawValue) bytes …")
                results.append(try benchmark.run(content, log: setup.log, vault: vault))
            }
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
                        json.key("stages")
                        json.object { json in
                            for stage in result.stages {
                                json.key(dynamic: stage.name)
                                json.object { json in
                                    json.member("processing_ms_p50", stage.p50)
                                    json.member("processing_ms_p95", stage.p95)
                                }
                            }
                        }
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
        for result in results {
            let stages = result.stages.map { "\($0.name) \(Ratio.text($0.p50)) / \(Ratio.text($0.p95))" }
            try Output.line("\(result.content.rawValue), p50 / p95 ms: \(stages.joined(separator: ", "))")
        }
    }
}
