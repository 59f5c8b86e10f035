internal import EventSourcing

/// What the server keeps of a partition's archive: how far the stream was trimmed, and the hash of the last
/// segment, which vouches for all before it.
struct ArchiveAnchor: Sendable, Hashable {
    var through: LogPosition
    var count = 0
    var hash = ""
}

/// One segment as the chain knows it, before anything of it was read.
struct SegmentLink: Sendable, Hashable {
    /// The stretch that it covers, which is also its name.
    var name: SegmentName
    /// Entries of the partition before it.
    var countBefore: Int
    /// Entries in it.
    var count: Int
    /// Hash of the whole segment.
    var hash: String
    /// Hash of what stands before its entries.
    var frontHash: String
    /// Hash of the segment before it; empty for the first.
    var previousHash: String

    /// Entries of the partition up to its end.
    var countThrough: Int { countBefore + count }

    /// Where the chain ends with it.
    var anchor: ArchiveAnchor { ArchiveAnchor(through: name.last, count: countThrough, hash: hash) }
}

extension SegmentLink {
    /// The link as the server keeps it: `<after> <last> <entries before> <entries> <hash> <front's hash>`.
    var record: String {
        "\(name.after.entryID) \(name.last.entryID) \(countBefore) \(count) \(hash) \(frontHash)"
    }

    /// Reads what `record` writes, as the link behind another one; nil for anything else.
    init?(_ record: String, partition: Int, behind previous: SegmentLink?) {
        let parts = record.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 6, let after = LogPosition(partition: partition, entryID: parts[0]),
            let last = LogPosition(partition: partition, entryID: parts[1]), after < last,
            let before = Int(parts[2]), let count = Int(parts[3]), count > 0,
            before == previous?.countThrough ?? 0,
            after == previous?.name.last ?? .start(of: partition),
            !before.addingReportingOverflow(count).overflow,
            parts[4...].allSatisfy(Self.isHash)
        else { return nil }
        self.init(
            name: SegmentName(after: after, last: last), countBefore: before, count: count,
            hash: String(parts[4]), frontHash: String(parts[5]), previousHash: previous?.hash ?? "")
    }

    /// 64 lower-case hexadecimal digits.
    private static func isHash(_ text: Substring) -> Bool {
        text.utf8.count == 64
            && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    /// The link of a segment that was found by its hash.
    init(_ header: SegmentHeader, hash: String, frontHash: String) {
        self.init(
            name: header.name, countBefore: header.countBefore, count: header.count, hash: hash,
            frontHash: frontHash, previousHash: header.previousHash)
    }

    /// What of a segment's beginning is not what the chain says; nil when all of it is.
    func difference(_ front: SegmentFront, epoch: String) -> String? {
        guard front.hash == frontHash else {
            return "the hash of its beginning is \(front.hash), and the log's chain says \(frontHash)"
        }
        guard let header = SegmentHeader(parsing: front.header) else { return "its header cannot be read" }
        let facts: [(String, String, String)] = [
            ("epoch", header.epoch, epoch), ("stretch", "\(header.name)", "\(name)"),
            ("count", "\(header.count)", "\(count)"),
            ("count_before", "\(header.countBefore)", "\(countBefore)"),
            ("previous", header.previousHash, previousHash),
        ]
        return facts.first { $0.1 != $0.2 }.map { fact, found, expected in
            "its header's \(fact) is \"\(found)\", and the log's chain says \"\(expected)\""
        }
    }
}

/// The segments of a partition that the log vouches for, from the first on, without a gap.
struct SegmentChain: Sendable, Hashable {
    let partition: Int
    private(set) var links: [SegmentLink] = []

    /// A chain without segments.
    init(partition: Int) { self.partition = partition }

    /// A chain of links that join.
    init(partition: Int, _ links: [SegmentLink]) {
        self.partition = partition
        self.links = links
    }

    /// Where it ends.
    var anchor: ArchiveAnchor {
        links.last?.anchor ?? ArchiveAnchor(through: .start(of: partition))
    }

    /// Up to where it goes.
    var through: LogPosition { anchor.through }

    /// Takes in the server's records, as far as each joins the one before and none goes beyond a position.
    mutating func append(_ records: some Sequence<String>, through limit: LogPosition) {
        for record in records {
            guard let link = SegmentLink(record, partition: partition, behind: links.last),
                link.name.last <= limit
            else { return }
            links.append(link)
        }
    }

    /// Drops what comes behind a position.
    mutating func cut(after position: LogPosition) {
        links.removeLast(links.count - firstIndex { $0.name.last > position })
    }

    /// The segments with entries after a position, in order.
    func links(after position: LogPosition) -> ArraySlice<SegmentLink> {
        links[firstIndex { $0.name.last > position }...]
    }

    /// The link behind another one.
    func next(after link: SegmentLink) -> SegmentLink? { links(after: link.name.last).first }

    /// The first link for which something holds that holds for all behind it; the end when there is none.
    private func firstIndex(where holds: (SegmentLink) -> Bool) -> Int {
        var (low, high) = (0, links.count)
        while low < high {
            let middle = (low + high) / 2
            if holds(links[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
