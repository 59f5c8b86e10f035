import Base
import Console
import EmbeddedServers
import EventSourcing
import Foundation
import Glibc
import MongoViews
import Recording
import RedisLog
import Supervision

/// What the benchmarks with servers of their own have in common: the folder that they work in, the servers,
/// the log, and how they are interrupted.
struct BenchSetup {
    static let folder = Setting(
        "folder", "DIR", .path, default: ".",
        help: "Folder on the disk that is to be measured; a folder in it is made and removed")

    /// Options that stand behind a benchmark's own.
    static let options = [
        folder.declaration, Common.json.declaration, Common.data.declaration, Common.config.declaration,
    ]

    /// The servers that a benchmark needs beside redis-server, in the words of its exit statuses.
    static func statuses(_ servers: String) -> [String] {
        [Common.usageStatus, "3  the folder cannot be used, or \(servers) is missing"]
    }

    /// The benchmark's own folder.
    let place: String
    /// Where the redis-server is.
    let redisURL: String
    /// An empty log of 16 partitions on a redis-server of the benchmark's own.
    let log: RedisEventLog
    private let stop: StopSignal

    /// Lends servers and folder to `body`, and takes both away afterwards.
    static func run(_ settings: Settings, _ body: (BenchSetup) throws -> Void) throws {
        let stop = StopSignal()
        try SignalWatcher.start(stop)
        let base = try DataFolder(creating: try settings.require(folder))
        let place = "\(base.path)/reel-bench-\(getpid())"
        defer { try? FileManager.default.removeItem(atPath: place) }
        try DataFolder.make(place)
        let server = SupervisedServer.redis(folder: "\(place)/redis", report: report)
        try server.start(stop: stop)
        defer { server.stop() }
        let url = EmbeddedRedis(folder: "", port: server.port).url
        let log = try RedisEventLog.open(url, createWith: 16)
        try body(BenchSetup(place: place, redisURL: url, log: log, stop: stop))
    }

    /// Lends a mongod of the benchmark's own, and its URL, to `body`.
    func withMongo(_ body: (MongoPool, String) throws -> Void) throws {
        let server = SupervisedServer.mongo(folder: "\(place)/mongodb", report: Self.report)
        try server.start(stop: stop)
        defer { server.stop() }
        let url = EmbeddedMongo(folder: "", port: server.port).url
        try body(try MongoPool(MongoSettings(url: url)), url)
    }

    /// Says what comes next, unless the benchmark was interrupted.
    func tell(_ text: String) throws {
        if stop.isSet { throw CommandFailure(.interrupted, "interrupted") }
        Output.error(text)
    }

    /// Waits a moment, unless the benchmark was interrupted.
    func pause(milliseconds: Int) throws {
        if stop.wait(milliseconds: milliseconds) { throw CommandFailure(.interrupted, "interrupted") }
    }

    @Sendable
    private static func report(_ text: String) { Output.error("reel bench: \(text)") }
}
