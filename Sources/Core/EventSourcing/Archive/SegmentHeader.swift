internal import Base

/// What a segment says of itself: one JSON object at its beginning.
package struct SegmentHeader: Sendable, Hashable {
    /// The format that this version reads and writes.
    package static let format = 1

    /// Epoch of the log.
    package var epoch: String
    /// Entries up to this position are in earlier segments.
    package var after: LogPosition
    /// The first entry.
    package var first: LogPosition
    /// The last entry.
    package var last: LogPosition
    /// Entries in the segment.
    package var count: Int
    /// Entries of the partition before the segment.
    package var countBefore: Int
    /// Hash of the segment before this one: each vouches for all before it. Empty for the first.
    package var previousHash: String
    package init(
        epoch: String, after: LogPosition, first: LogPosition, last: LogPosition, count: Int,
        countBefore: Int, previousHash: String
    ) {
        self.epoch = epoch
        self.after = after
        self.first = first
        self.last = last
        self.count = count
        self.countBefore = countBefore
        self.previousHash = previousHash
    }

    /// The segment's name.
    package var name: SegmentName { SegmentName(after: after, last: last) }

    /// The header as JSON.
    package var json: [UInt8] {
        var writer = JSONWriter()
        writer.object { json in
            json.member("format", Self.format)
            json.member("epoch", epoch)
            json.member("partition", after.partition)
            json.member("after", after.entryID)
            json.member("first", first.entryID)
            json.member("last", last.entryID)
            json.member("count", count)
            json.member("count_before", countBefore)
            json.member("previous", previousHash)
        }
        return writer.bytes
    }

    /// Most entries that a partition's archive is believed to have; what claims more is damage, and sums of
    /// what claims less stay in bounds.
    private static let maximumCount: Int64 = 1 << 52

    /// Reads what `json` writes, byte for byte; nil for anything else.
    package init?(parsing bytes: [UInt8]) {
        guard let json = try? JSONValue(parsing: bytes), json["format"]?.integer == Int64(Self.format),
            let partition = json["partition"]?.integer.flatMap({ Int(exactly: $0) }), partition >= 0,
            let epoch = json["epoch"]?.string,
            let count = json["count"]?.integer, (1...Self.maximumCount).contains(count),
            let before = json["count_before"]?.integer, (0...Self.maximumCount).contains(before),
            let previous = json["previous"]?.string
        else { return nil }
        func position(_ name: String) -> LogPosition? {
            json[name]?.string.flatMap { LogPosition(partition: partition, entryID: $0) }
        }
        guard let after = position("after"), let first = position("first"), let last = position("last") else {
            return nil
        }
        self.init(
            epoch: epoch, after: after, first: first, last: last, count: Int(count), countBefore: Int(before),
            previousHash: previous)
        guard after < first, first <= last, self.json == bytes else { return nil }
    }
}
