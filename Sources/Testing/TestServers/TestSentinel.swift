package import EmbeddedServers
package import Supervision

/// A master, its replicas, and three sentinels that watch them: real processes, gone with this object.
/// A failover takes one to three seconds.
package final class TestSentinel: Sendable {
    /// Master and replicas as they were at the start; the first was the master.
    package let servers: [TestRedis]
    /// The sentinels.
    package let sentinels: [TestServer]
    /// The name that the sentinels know the master by.
    package static let master = "reel"

    /// Starts everything and returns when the sentinels know each other and all replicas.
    /// - Parameter downAfterMilliseconds: a master that is away for longer is down. A replica that had lost
    ///   it for more than ten times as long before is never promoted.
    package static func start(
        replicas: Int = 1, downAfterMilliseconds: Int = 300, settings: [EmbeddedRedis.Directive] = []
    ) throws(ServerFailure) -> TestSentinel {
        let quick = [
            EmbeddedRedis.Directive("repl-diskless-sync-delay", "0"),
            EmbeddedRedis.Directive("repl-ping-replica-period", "1"),
        ]
        let master = try TestRedis.start(settings: quick + settings)
        var servers = [master]
        for _ in 0..<replicas {
            servers.append(
                try TestRedis.start(
                    settings: quick + settings + [.init("replicaof", "127.0.0.1 \(master.port)")]))
        }
        var sentinels: [TestServer] = []
        for _ in 0..<3 {
            sentinels.append(
                try TestServer(
                    SentinelServer(
                        folder: TestFolders.fresh("sentinel"), port: try testPort("redis-sentinel"),
                        master: master.port, downAfterMilliseconds: downAfterMilliseconds)))
        }
        let all = TestSentinel(servers, sentinels)
        for replica in servers.dropFirst() {
            try awaiting("redis-server", "the replica is in step") { () throws(SystemFailure) in
                try replica.run("INFO", "replication").contains("master_link_status:up")
            }
        }
        for sentinel in sentinels {
            try awaiting("redis-sentinel", "all know each other") { () throws(SystemFailure) in
                let facts = try RedisAdmin.run(["INFO", "sentinel"], port: sentinel.port)
                return facts.contains("slaves=\(replicas),sentinels=3")
            }
        }
        return all
    }

    private init(_ servers: [TestRedis], _ sentinels: [TestServer]) {
        self.servers = servers
        self.sentinels = sentinels
    }

    /// `redis+sentinel://…/reel`, database 0.
    package var url: String {
        "redis+sentinel://" + sentinels.map { "127.0.0.1:\($0.port)" }.joined(separator: ",")
            + "/\(Self.master)"
    }

    /// The port of the master that a majority of the sentinels names.
    package func masterPort() throws(SystemFailure) -> UInt16? {
        var votes: [UInt16: Int] = [:]
        for sentinel in sentinels {
            let answer = try RedisAdmin.run(
                ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self.master], port: sentinel.port)
            if let port = answer.split(separator: "\n").last.flatMap({ UInt16($0) }) {
                votes[port, default: 0] += 1
            }
        }
        return votes.first { $0.value >= 2 }?.key
    }

    /// Cuts a server off from its master, so that it takes over no more of what is written there.
    package func cutOff(_ replica: TestRedis, from master: TestRedis) throws(ServerFailure) {
        do throws(SystemFailure) {
            // It can't log in again: a wrong user.
            try replica.run("CONFIG", "SET", "masteruser", "nobody")
            try replica.run("CONFIG", "SET", "masterauth", "nothing")
            try master.run("CLIENT", "KILL", "TYPE", "replica")
        } catch { throw .system(server: "redis-server", error) }
        try awaiting("redis-server", "the replica is cut off") { () throws(SystemFailure) in
            try replica.run("INFO", "replication").contains("master_link_status:down")
        }
    }
}

/// A redis-server as sentinel.
private struct SentinelServer: ServerDescription {
    let name = "redis-sentinel"
    let folder: String
    let port: UInt16
    let master: UInt16
    let downAfterMilliseconds: Int

    private var server: EmbeddedRedis { EmbeddedRedis(folder: folder, port: port) }

    func command() throws(ServerFailure) -> ChildProcess.Command {
        var command = try server.command()
        let name = TestSentinel.master
        let lines = [
            "bind 127.0.0.1", "port \(port)", "dir \(folder)",
            "sentinel monitor \(name) 127.0.0.1 \(master) 2",
            "sentinel down-after-milliseconds \(name) \(downAfterMilliseconds)",
            "sentinel failover-timeout \(name) 3000",
        ]
        do throws(SystemFailure) {
            try writeFile("\(folder)/redis.conf", lines.joined(separator: "\n") + "\n")
        } catch { throw .folderNotWritable(server: self.name, error) }
        command.arguments.append("--sentinel")
        return command
    }

    func probe() -> Readiness { server.probe() }
}
