internal import Base
internal import EventSourcing

/// The archived part of the log, as a store or a feed of one thread sees it: up to where each partition was
/// trimmed, and the events from there on backwards.
final class ArchiveAccess {
    private let client: RedisClient
    private let archive: Archive?
    private let reader: ArchiveReader?
    /// Up to where partitions are known to be trimmed. It only grows, so what is known holds.
    private var known: [Int: LogPosition] = [:]

    init(_ client: RedisClient, _ archive: Archive?) {
        self.client = client
        self.archive = archive
        reader = archive?.reader()
    }

    /// Up to where a partition is known to be trimmed, without asking.
    func known(_ partition: Int) -> LogPosition { known[partition] ?? .start(of: partition) }

    /// Takes in an answer to `HGET … through`.
    @discardableResult
    func learn(_ partition: Int, _ reply: ReplyView, _ operation: String) throws(LogFailure) -> LogPosition {
        guard !reply.isNil else { return known(partition) }
        let through = try EntryCoding.position(
            reply, partition: partition, operation: operation, key: LogKeys.archive(partition))
        known[partition] = max(through, known(partition))
        return known(partition)
    }

    /// Asks up to where partitions are trimmed, and whether it is still the same log.
    func ask(_ partitions: [Int], _ operation: String) throws(LogFailure) {
        var commands = CommandBuffer()
        for partition in partitions { commands.command("HGET", LogKeys.archive(partition), "through") }
        commands.command("HGET", LogKeys.meta, "epoch")
        try client.pipeline(operation, "\(client.address)", commands) { index, reply throws(LogFailure) in
            guard partitions.indices.contains(index) else {
                return try self.client.requireEpoch(reply, operation)
            }
            try self.learn(partitions[index], reply, operation)
        }
    }

    /// Archived events after a position that is below the known trimmed position.
    func read(after position: LogPosition, limit: Int, _ operation: String) throws(LogFailure)
        -> [RecordedEvent]
    {
        let (reader, chain) = try open(position.partition, operation, "\(position)")
        return try reader.read(after: position, in: chain, limit: limit)
    }

    /// Archived events of a partition key.
    func load(
        _ key: String, in partition: Int, after sequence: UInt64, limit: Int
    ) throws(LogFailure) -> [RecordedEvent] {
        try ask([partition], "load")
        let (reader, chain) = try open(partition, "load", key)
        return try reader.load(key, after: sequence, in: chain, limit: limit)
    }

    /// The last archived sequence of a partition key.
    func version(of key: String, in partition: Int) throws(LogFailure) -> UInt64 {
        try ask([partition], "version")
        let (reader, chain) = try open(partition, "version", key)
        return try reader.version(of: key, in: chain)
    }

    /// How many archived events stand up to a position. Call `ask` before.
    func rank(of position: LogPosition) throws(LogFailure) -> Int {
        let (reader, chain) = try open(position.partition, "rank", "\(position)")
        return try reader.rank(of: position, in: chain)
    }

    /// What the server's hash of ids held before the key was evicted: id hash and value, one after the
    /// other, as `reel_restore` wants them. Call `ask` before.
    func idFields(_ key: String, in partition: Int) throws(LogFailure) -> (version: UInt64, fields: [[UInt8]])
    {
        let (reader, chain) = try open(partition, "restore", key)
        var version: UInt64 = 0
        var fields: [[UInt8]] = []
        while true {
            let page = try reader.load(key, after: version, in: chain, limit: 1000)
            for event in page {
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

    /// Reads every segment of a partition whole, along the chain of hashes.
    func verify(_ partition: Int) throws(LogFailure) {
        try ask([partition], "verify archive")
        guard known(partition).milliseconds > 0 else { return }
        let (_, chain) = try open(partition, "verify archive", LogPosition.partitionName(partition))
        do throws(SegmentFailure) { try archive?.verify(chain) } catch {
            throw error.asLogFailure("verify archive")
        }
    }

    /// The archive's reader and the chain that it may read; what is asked for is there and nowhere else.
    private func open(
        _ partition: Int, _ operation: String, _ what: String
    ) throws(LogFailure) -> (ArchiveReader, SegmentChain) {
        guard let archive, let reader else {
            throw LogFailure(
                .unsuitable, operation: operation, key: what,
                text: "these events are archived, and this process was given no archive; name its folder "
                    + "(REEL_ARCHIVE_PATH)")
        }
        let chain = try archive.chain(of: partition, through: known(partition)) { from throws(LogFailure) in
            try self.client.archiveRecords(of: partition, from: from)
        }
        return (reader, chain)
    }
}

extension RedisClient {
    /// What the server says of a partition's archive: up to where it was trimmed, and its records of the
    /// segments from a number on.
    func archiveRecords(
        of partition: Int, from number: Int
    ) throws(LogFailure) -> (anchor: ArchiveAnchor, records: [String]) {
        var commands = CommandBuffer()
        // Records only grow: those that are read behind the anchor reach it.
        commands.command("HMGET", LogKeys.archive(partition), "through", "count", "hash")
        commands.command("LRANGE", LogKeys.segments(partition), String(number), "-1")
        var anchor = ArchiveAnchor(through: .start(of: partition))
        var records: [String] = []
        try pipeline("archive", LogKeys.archive(partition), commands) { index, reply throws(LogFailure) in
            if index == 1 { return reply.forEach { records.append($0.string ?? "") } }
            guard let through = reply[0], !through.isNil else { return }
            anchor.through = try EntryCoding.position(
                through, partition: partition, operation: "archive", key: LogKeys.archive(partition))
            guard let count = reply[1]?.integer, count >= 0, let hash = reply[2]?.string else {
                throw LogFailure(
                    .corrupt, operation: "archive", key: LogKeys.archive(partition),
                    text: "count or hash of the last segment is missing")
            }
            (anchor.count, anchor.hash) = (count, hash)
        }
        return (anchor, records)
    }
}
