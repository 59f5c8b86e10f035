package import RedisLog

/// Partitions in which the archiver can't go on, by what keeps it from that: what concerns many of them at
/// once is said once.
package struct StuckPartitions {
    /// Names of partitions, and since when and why it can't go on there.
    package private(set) var groups: [(names: String, since: String)] = []

    /// - Parameters:
    ///   - stuck: partitions, each with since when and why; empty where it can go on.
    package init(_ stuck: [(partition: Int, since: String)]) {
        let concerned = stuck.filter { !$0.since.isEmpty }.sorted { $0.partition < $1.partition }
        var order: [String] = []
        var partitions: [String: [Int]] = [:]
        for one in concerned {
            if partitions[one.since] == nil { order.append(one.since) }
            partitions[one.since, default: []].append(one.partition)
        }
        groups = order.map { since in
            (Self.names(partitions[since] ?? [], among: stuck.count), since)
        }
    }

    package init(_ condition: LogCondition) {
        self.init(condition.unarchived.map { (partition: $0.partition, since: $0.stuck) })
    }

    /// `partition 3`, `partitions 3, 5` or `all partitions`.
    package static func names(_ partitions: [Int], among count: Int) -> String {
        if partitions.count == 1, let only = partitions.first { return "partition \(only)" }
        if partitions.count == count { return "all partitions" }
        return "partitions \(partitions.map(String.init).joined(separator: ", "))"
    }
}
