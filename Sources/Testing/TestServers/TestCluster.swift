package import EmbeddedServers
package import Supervision

/// A Redis Cluster of real processes on loopback, gone with this object. A node that is away for a
/// second is failing; its replica takes over one to two seconds later.
package final class TestCluster: Sendable {
    /// Masters at the start, with the slots in equal parts.
    package let masters: [TestRedis]
    /// Replicas at the start: `replicas[i]` is that of `masters[i]`; none without replicas.
    package let replicas: [TestRedis]

    /// Starts and joins the nodes; returns when all agree and all slots are served.
    package static func start(
        masters count: Int = 3, replicated: Bool = false, settings: [EmbeddedRedis.Directive] = []
    ) throws(ServerFailure) -> TestCluster {
        var nodes: [(server: TestRedis, bus: UInt16)] = []
        for _ in 0..<(replicated ? 2 * count : count) {
            let bus = try testPort("cluster bus")
            let own: [EmbeddedRedis.Directive] = [
                .init("cluster-enabled", "yes"), .init("cluster-port", "\(bus)"),
                .init("cluster-node-timeout", "1000"), .init("cluster-replica-validity-factor", "0"),
                .init("cluster-allow-replica-migration", "no"), .init("repl-diskless-sync-delay", "0"),
                .init("databases", "1"),
            ]
            nodes.append((try TestRedis.start(settings: own + settings), bus))
        }
        let servers = nodes.map(\.server)
        let cluster = TestCluster(
            masters: Array(servers.prefix(count)), replicas: Array(servers.dropFirst(count)))
        do throws(SystemFailure) { try cluster.join(nodes.map(\.bus)) } catch {
            throw .system(server: "redis-server", error)
        }
        try cluster.awaitAgreement()
        for (index, replica) in cluster.replicas.enumerated() {
            let id: String
            do throws(SystemFailure) {
                id = try cluster.masters[index].run("CLUSTER", "MYID")
                try replica.run("CLUSTER", "REPLICATE", id)
            } catch { throw .system(server: "redis-server", error) }
            try awaiting("redis-server", "the replica is in step") { () throws(SystemFailure) in
                try replica.run("INFO", "replication").contains("master_link_status:up")
            }
        }
        if replicated { try cluster.awaitAgreement() }
        return cluster
    }

    private init(masters: [TestRedis], replicas: [TestRedis]) {
        self.masters = masters
        self.replicas = replicas
    }

    private func join(_ buses: [UInt16]) throws(SystemFailure) {
        let slots = 16_384
        for (index, master) in masters.enumerated() {
            let first = slots * index / masters.count
            let last = slots * (index + 1) / masters.count - 1
            try master.run("CLUSTER", "ADDSLOTSRANGE", "\(first)", "\(last)")
        }
        for (index, node) in (masters + replicas).enumerated() {
            try node.run("CLUSTER", "SET-CONFIG-EPOCH", "\(index + 1)")
            let first = masters[0]
            if node !== first { try node.run("CLUSTER", "MEET", "127.0.0.1", "\(first.port)", "\(buses[0])") }
        }
    }

    private func awaitAgreement() throws(ServerFailure) {
        let nodes = masters + replicas
        for node in nodes {
            try awaiting("redis-server", "the cluster agrees") { () throws(SystemFailure) in
                let info = try node.run("CLUSTER", "INFO").split(whereSeparator: \.isNewline)
                let slots = try node.run("CLUSTER", "SLOTS")
                return info.contains("cluster_state:ok")
                    && info.contains("cluster_known_nodes:\(nodes.count)")
                    && masters.allSatisfy { slots.contains("\($0.port)") }
            }
        }
    }

    /// `redis+cluster://…` with all nodes that were masters at the start.
    package var url: String {
        "redis+cluster://" + masters.map { "127.0.0.1:\($0.port)" }.joined(separator: ",")
    }

    /// Removes all keys; the functions stay.
    package func flush() throws(SystemFailure) {
        for master in masters { try master.run("FLUSHALL") }
    }

    /// The node that serves a slot, as the first reachable one sees it.
    package func master(ofSlot slot: Int) throws(SystemFailure) -> TestRedis? {
        for node in masters + replicas where node.pid != nil {
            for line in try node.run("CLUSTER", "NODES").split(separator: "\n") {
                let words = line.split(separator: " ")
                guard words.count > 8, words[2].contains("master"),
                    words[8...].contains(where: { Self.range($0)?.contains(slot) == true }),
                    let port = words[1].split(separator: "@").first?.split(separator: ":").last
                else { continue }
                return (masters + replicas).first { "\($0.port)" == port }
            }
        }
        return nil
    }

    private static func range(_ word: Substring) -> ClosedRange<Int>? {
        let ends = word.split(separator: "-").compactMap { Int($0) }
        guard let first = ends.first, let last = ends.last, first <= last else { return nil }
        return first...last
    }

    /// Opens the migration of a slot: its keys can be moved one by one.
    package func beginMove(slot: Int, from source: TestRedis, to target: TestRedis) throws(SystemFailure) {
        try target.run("CLUSTER", "SETSLOT", "\(slot)", "IMPORTING", try source.run("CLUSTER", "MYID"))
        try source.run("CLUSTER", "SETSLOT", "\(slot)", "MIGRATING", try target.run("CLUSTER", "MYID"))
    }

    /// Moves at most `limit` keys of a slot; answers how many there were to move.
    @discardableResult
    package func moveKeys(
        slot: Int, limit: Int = 1000, from source: TestRedis, to target: TestRedis
    ) throws(SystemFailure) -> Int {
        let keys = try source.run("CLUSTER", "GETKEYSINSLOT", "\(slot)", "\(limit)").split(separator: "\n")
        for key in keys {
            try source.run("MIGRATE", "127.0.0.1", "\(target.port)", String(key), "0", "5000")
        }
        return keys.count
    }

    /// Closes the migration: the slot is the target's. Its keys have been moved.
    package func endMove(slot: Int, from source: TestRedis, to target: TestRedis) throws(SystemFailure) {
        let id = try target.run("CLUSTER", "MYID")
        try target.run("CLUSTER", "SETSLOT", "\(slot)", "NODE", id)
        try source.run("CLUSTER", "SETSLOT", "\(slot)", "NODE", id)
        for other in masters where other !== source && other !== target && other.pid != nil {
            try other.run("CLUSTER", "SETSLOT", "\(slot)", "NODE", id)
        }
    }
}
