internal import EventSourcing

/// The archived part of the log, as a store or a feed of one thread sees it: up to where each partition was
/// trimmed, and the events from there on backwards.
final class ArchiveAccess {
    private let client: RedisClient
    private let reader: ArchiveReader?
    /// Up to where partitions are known to be trimmed. It only grows, so what is known holds.
    private var known: [Int: LogPosition] = [:]

    init(_ client: RedisClient, _ archive: Archive?) {
        self.client = client
        reader = archive?.reader()
    }

    /// Up to where a partition is known to be trimmed, without asking.
    func known(_ partition: Int) -> LogPosition { known[partition] ?? .start(of: partition) }

    /// Takes in an answer to `HGET … through`.
    @discardableResult
    func learn(_ partition: Int, _ reply: ReplyView, _ operation: String) throws(LogFailure) -> LogPosition {
        guard !reply.isNil else { return known(partition) }
        let through = try EntryCoding.position(reply, partition: partition, operation: operation)
        known[partition] = max(through, known(partition))
        return known(partition)
    }

    /// Asks up to where partitions are trimmed.
    func ask(_ partitions: [Int], _ operation: String) throws(LogFailure) {
        var commands = CommandBuffer()
        for partition in partitions { commands.command("HGET", LogKeys.archive(partition), "through") }
        try client.pipeline(operation, "\(client.address)", commands) { index, reply throws(LogFailure) in
            try self.learn(partitions[index], reply, operation)
        }
    }

    /// The archive's reader; what is asked for is there and nowhere else.
    func require(_ operation: String, _ what: String) throws(LogFailure) -> ArchiveReader {
        guard let reader else {
            throw LogFailure(
                .unsuitable, operation: operation, key: what,
                text: "these events are archived, and this process was given no archive; name its folder "
                    + "(REEL_ARCHIVE_PATH)")
        }
        return reader
    }

    /// Archived events after a position that is below the known trimmed position.
    func read(after position: LogPosition, limit: Int, _ operation: String) throws(LogFailure)
        -> [RecordedEvent]
    {
        try require(operation, "\(position)").read(
            after: position, through: known(position.partition), limit: limit)
    }

    /// Archived events of a partition key.
    func load(
        _ key: String, in partition: Int, after sequence: UInt64, limit: Int
    ) throws(LogFailure) -> [RecordedEvent] {
        try ask([partition], "load")
        return try require("load", key).load(
            key, after: sequence, through: known(partition), limit: limit)
    }

    /// The last archived sequence of a partition key.
    func version(of key: String, in partition: Int) throws(LogFailure) -> UInt64 {
        try ask([partition], "version")
        return try require("version", key).version(of: key, through: known(partition))
    }

    /// What the server's hash of ids held before the key was evicted: id hash and value, one after the
    /// other, as `reel_restore` wants them. Call `ask` before.
    func idFields(_ key: String, in partition: Int) throws(LogFailure) -> (version: UInt64, fields: [[UInt8]])
    {
        let reader = try require("restore", key)
        var version: UInt64 = 0
        var fields: [[UInt8]] = []
        while true {
            let page = try reader.load(key, after: version, through: known(partition), limit: 1000)
            for event in page {
                guard event.sequence == version + 1 else {
                    throw LogFailure(
                        .corrupt, operation: "restore", key: key,
                        text: "the archive lacks sequence \(version + 1)")
                }
                version = event.sequence
                fields.append(Array(SHA256.digest(of: event.id.utf8)[..<EntryCoding.idHashBytes]))
                let place = stride(from: 32, through: 0, by: -8).map {
                    UInt8(truncatingIfNeeded: version >> UInt64($0))
                }
                fields.append(place + event.event.bodyDigest[..<EntryCoding.bodyDigestBytes])
            }
            if page.count < 1000 { return (version, fields) }
        }
    }
}
