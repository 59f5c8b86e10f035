/// One partition's part of an archive. Archives of different logs (epochs) never mix.
package struct ArchivePart: Sendable, Hashable {
    /// Epoch of the log (`reel:meta`).
    package var epoch: String
    /// Number of the partition.
    package var partition: Int
    package init(epoch: String, partition: Int) {
        self.epoch = epoch
        self.partition = partition
    }
}

/// Name of a segment: which stretch of its partition it covers, without gaps.
///
/// The stretch begins after an entry instead of with one, so that it shows in a listing whether two
/// segments join: the next one's `after` is this one's `last`.
package struct SegmentName: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// Entries up to this position are in earlier segments.
    package var after: LogPosition
    /// The last entry of the segment.
    package var last: LogPosition
    package init(after: LogPosition, last: LogPosition) {
        self.after = after
        self.last = last
    }

    /// `<after>_<last>.seg`, such as `0-0_1700000000000-3.seg`.
    package var description: String { "\(after.entryID)_\(last.entryID).seg" }

    /// Reads what `description` writes; nil for anything else.
    package init?(_ text: String, partition: Int) {
        guard text.hasSuffix(".seg") else { return nil }
        let parts = text.dropLast(4).split(separator: "_", omittingEmptySubsequences: false)
        guard parts.count == 2, let after = LogPosition(partition: partition, entryID: parts[0]),
            let last = LogPosition(partition: partition, entryID: parts[1]), after < last
        else { return nil }
        self.init(after: after, last: last)
        guard description == text else { return nil }
    }

    /// By start, then by end.
    package static func < (a: SegmentName, b: SegmentName) -> Bool { (a.after, a.last) < (b.after, b.last) }
}

/// A segment as a store gives it back, its checksum verified.
package struct StoredSegment: Sendable, Hashable {
    /// Header, one JSON object.
    package var header: [UInt8]
    /// Which partition keys have entries in it.
    package var index: [UInt8]
    /// The entries.
    package var payload: [UInt8]
    /// Lower-case hex of the checksum over the whole segment.
    package var hash: String
    /// Lower-case hex of the checksum over what stands before the entries.
    package var frontHash: String
    package init(header: [UInt8], index: [UInt8], payload: [UInt8], hash: String, frontHash: String) {
        self.header = header
        self.index = index
        self.payload = payload
        self.hash = hash
        self.frontHash = frontHash
    }
}

/// What stands before a segment's entries.
package struct SegmentFront: Sendable, Hashable {
    /// Header, one JSON object.
    package var header: [UInt8]
    /// Which partition keys have entries in the segment.
    package var index: [UInt8]
    /// Lower-case hex of the checksum over both.
    package var hash: String
    package init(header: [UInt8], index: [UInt8], hash: String) {
        self.header = header
        self.index = index
        self.hash = hash
    }
}

/// Why a segment could not be written, listed or read.
package struct SegmentFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kinds that callers tell apart.
    package enum Kind: Sendable, Hashable {
        /// There is no such segment.
        case missing
        /// The segment is not what was written.
        case damaged
        /// The disk refuses; true when trying again later may succeed.
        case storage(transient: Bool)
    }

    /// What kind of failure.
    package var kind: Kind
    /// Path or name of the segment.
    package var segment: String
    /// What is wrong.
    package var text: String
    package init(_ kind: Kind, segment: String, text: String) {
        self.kind = kind
        self.segment = segment
        self.text = text
    }

    /// Segment and text on one line.
    package var description: String { "\(segment): \(text)" }

    /// As a failure of the log that the segment is a part of.
    package func asLogFailure(_ operation: String) -> LogFailure {
        let kind: LogFailure.Kind =
            switch kind {
            case .missing, .damaged: .corrupt
            case .storage(let transient): transient ? .unreachable : .unsuitable
            }
        return LogFailure(kind, operation: operation, key: segment, text: text)
    }
}

/// Where segments are kept. Any thread may call; calls block.
///
/// A store vouches for nothing but that a segment agrees with its own checksums, which whoever writes there
/// can make: whether it is the one that belongs there, the log's chain of hashes tells.
package protocol SegmentStore: Sendable {
    /// Names in a part, sorted; none when there is no such part.
    func names(in part: ArchivePart) throws(SegmentFailure) -> [SegmentName]

    /// Keeps a segment, durably, and whole or not at all; a segment that has the name already stays.
    func write(
        header: [UInt8], index: [UInt8], payload: [UInt8], as name: SegmentName, in part: ArchivePart
    ) throws(SegmentFailure)

    /// A whole segment, verified against its checksum.
    func read(_ name: SegmentName, in part: ArchivePart) throws(SegmentFailure) -> StoredSegment

    /// A segment's beginning alone, verified against its own checksum. The entries are not read.
    func readFront(_ name: SegmentName, in part: ArchivePart) throws(SegmentFailure) -> SegmentFront

    /// A segment's beginning and the checksum over the whole of it, both verified. The entries are read and
    /// not decompressed.
    func readSealed(
        _ name: SegmentName, in part: ArchivePart
    ) throws(SegmentFailure) -> (front: SegmentFront, hash: String)

    /// Whether it has a key to vouch for segments, and to tell whether somebody has.
    var hasKey: Bool { get }

    /// Leaves word, which nobody can without a key, that a segment was compared with the log and is what it
    /// held. A store that has no key leaves none.
    func vouch(for name: SegmentName, hash: String, in part: ArchivePart) throws(SegmentFailure)

    /// Whether somebody with a key has left word that a segment with this hash is what the log held; nil when
    /// nobody has, or this store has no key to tell.
    func isVouched(
        _ name: SegmentName, hash: String, in part: ArchivePart
    ) throws(SegmentFailure) -> Bool?

    /// Takes a segment out of its part and keeps it beside: it is no part of the log.
    func setAside(_ name: SegmentName, in part: ArchivePart) throws(SegmentFailure)

    /// Epochs of the logs that have segments here.
    func epochs() throws(SegmentFailure) -> [String]
}
