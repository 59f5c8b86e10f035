internal import Base
internal import EventSourcing

/// Names of the log's keys. All keys of a partition share its hash tag, so that one server-side call
/// may touch them together wherever the partition lives.
enum LogKeys {
    static let format = "1"
    static let meta = "reel:meta"
    /// Partitions that were found to lack acknowledged events, by name, each with the reason; empty once the
    /// halt was lifted. Beside each that was lifted, `pNNN lifted` says by whom (see `HaltRegistry`).
    static let halted = "reel:halted"

    static func log(_ partition: Int) -> String { "\(prefix(partition)):log" }

    /// Entry ids of a partition key's events, in sequence order.
    static func index(_ partition: Int, _ partitionKey: String) -> String {
        "\(prefix(partition)):s:\(partitionKey)"
    }

    /// Hashes of a partition key's event ids, with sequence and body digest.
    static func ids(_ partition: Int, _ partitionKey: String) -> String {
        "\(prefix(partition)):i:\(partitionKey)"
    }

    /// Partition and partition key of a key that `index` or `ids` has made; nil for others.
    static func history(of key: String) -> (partition: Int, partitionKey: String)? {
        guard let partition = partition(of: key) else { return nil }
        for prefix in [index(partition, ""), ids(partition, "")] where key.hasPrefix(prefix) {
            return (partition, String(key.dropFirst(prefix.count)))
        }
        return nil
    }

    /// Whether a key is of one partition key alone.
    static func isOfOneHistory(_ key: String) -> Bool { history(of: key) != nil }

    /// Ranks of about every 256th entry of the partition, from which any rank is counted.
    static func ranks(_ partition: Int) -> String { "\(prefix(partition)):ranks" }

    static func parked(_ partition: Int, _ group: String) -> String { "\(prefix(partition)):parked:\(group)" }

    /// Entries that somebody asked an ordered subscription to try again.
    static func parkedRetries(_ partition: Int, _ subscription: String) -> String {
        "\(prefix(partition)):retry:\(subscription)"
    }

    /// Partition keys that an ordered subscription passes over for good.
    static func givenUp(_ partition: Int, _ subscription: String) -> String {
        "\(prefix(partition)):given-up:\(subscription)"
    }

    /// Failed tries of entries that are being tried, by entry id.
    static func tries(_ partition: Int, _ group: String) -> String { "\(prefix(partition)):tries:\(group)" }

    static func checkpoints(_ partition: Int) -> String { "\(prefix(partition)):checkpoints" }

    /// Values that a subscription keeps beside the partition, by key, and the place that they are as of.
    static func index(_ partition: Int, named name: String) -> String {
        "\(prefix(partition)):index:\(name)"
    }

    /// How far the partition was trimmed: `through`, `count` and `hash` of the last trimmed segment, and
    /// `shrunk`, up to where indexes have followed.
    static func archive(_ partition: Int) -> String { "\(prefix(partition)):archive" }

    /// Written before replicas are waited for: a server waits for a connection's own writes alone.
    static func confirmation(_ partition: Int) -> String { "\(prefix(partition)):confirmation" }

    /// A list with a record of each archived segment, in order (see `SegmentLink.record`).
    static func segments(_ partition: Int) -> String { "\(prefix(partition)):segments" }

    /// Owner, generation and end of a partition's lease.
    static func lease(_ partition: Int, _ subscription: String) -> String {
        "\(prefix(partition)):lease:\(subscription)"
    }

    /// Members of an ordered subscription, by the end of their membership.
    static func members(_ subscription: String) -> String { "reel:members:\(subscription)" }

    /// What a subject did of one kind, by slots of time. The subject stands in it as a hash: it may be of
    /// any length and hold anything.
    static func rate(_ rule: String, _ subject: String) -> String {
        "reel:rate:\(rule):\(Hexadecimal.text(SHA256.digest(of: subject.utf8).prefix(16)))"
    }

    static func alive(_ mark: String) -> String { "reel:alive:\(mark)" }

    /// What the server calls the type of a value.
    enum ValueType: String {
        case stream, list, hash, set, zset, string

        /// With its article, for sentences.
        var words: String {
            switch self {
            case .zset: "a sorted set"
            default: "a \(rawValue)"
            }
        }
    }

    /// The type that a key of ours has; nil for a key that is none of ours.
    static func type(of key: String) -> ValueType? {
        if key == meta || key == halted || key.hasPrefix("reel:rate:") { return .hash }
        if key.hasPrefix(members("")) { return .zset }
        if key.hasPrefix(alive("")) { return .string }
        guard let partition = partition(of: key), key.hasPrefix(prefix(partition) + ":") else { return nil }
        let name = key.dropFirst(prefix(partition).count + 1)
        switch name.prefix(while: { $0 != ":" }) {
        case "log": return .stream
        case "ranks": return .zset
        case "confirmation": return .string
        case "s", "segments": return .list
        case "given-up": return .set
        case "i", "archive", "checkpoints", "index", "lease", "parked", "retry", "tries": return .hash
        default: return nil
        }
    }

    private static func prefix(_ partition: Int) -> String {
        "reel:{\(LogPosition.partitionName(partition))}"
    }

    /// The partition of a name such as `p007`.
    static func partition(named name: some StringProtocol) -> Int? {
        guard name.hasPrefix("p"), let number = Int(name.dropFirst()) else { return nil }
        return (0..<Partitioning.maximumCount).contains(number) ? number : nil
    }

    /// The partition that a key of ours names, from its hash tag.
    static func partition(of key: String) -> Int? {
        guard let open = key.firstIndex(of: "{"), let close = key.firstIndex(of: "}"), open < close else {
            return nil
        }
        return partition(named: key[key.index(after: open)..<close])
    }
}
