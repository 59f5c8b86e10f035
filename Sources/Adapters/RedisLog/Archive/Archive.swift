internal import Base
internal import EventSourcing

/// The archived part of a log, as the whole process sees it: for each partition the chain of segments that
/// the log vouches for, and the indexes of those that were looked at lately. Any thread; readers are made by
/// `reader()`, one for each thread.
///
/// Nothing of a segment is given out before its hash was compared with the chain's. The chain begins with
/// the hash of the newest segment, which the server keeps; each segment's header holds the hash of the one
/// before. So that nobody has to read all segments back to the one that is wanted, the server keeps the
/// hashes of all of them as well, one record a segment. These records are believed as far as they lead to
/// the newest segment's hash; where they are missing (an archive of an older build) the segments are read.
final class Archive: Sendable {
    /// What the server says of a partition's archive: its anchor, and its records from a number on.
    typealias Ask = (_ from: Int) throws(LogFailure) -> (anchor: ArchiveAnchor, records: [String])

    /// Epoch of the log.
    let epoch: String

    private struct State {
        var chains: [Int: SegmentChain] = [:]
        /// By the hash of the segment, which vouches for it.
        var indexes: [String: SegmentIndex] = [:]
        var indexBytes = 0
        /// For each partition the hash of the newest segment up to which all were read whole, and when that
        /// was begun.
        var verified: [Int: (hash: String, at: ContinuousClock.Instant)] = [:]
    }

    /// So long a segment that was read whole is not read again for the next history of its partition.
    private static let verifiedFor = Duration.seconds(600)

    private let store: any SegmentStore
    private let state = Lock(State())
    private let indexLimitBytes: Int

    /// - Parameter indexLimitBytes: memory for indexes; those beyond it are read again when needed.
    init(_ store: any SegmentStore, epoch: String, indexLimitBytes: Int = 64 << 20) {
        self.store = store
        self.epoch = epoch
        self.indexLimitBytes = indexLimitBytes
    }

    /// A reader for the calling thread.
    func reader() -> ArchiveReader { ArchiveReader(self) }

    /// The part of a partition.
    private func part(_ partition: Int) -> ArchivePart { ArchivePart(epoch: epoch, partition: partition) }

    // MARK: The chain

    /// The chain of a partition up to a position that it was trimmed to.
    /// - Throws: `corrupt`, naming the segment that is missing or is not the one that belongs there.
    func chain(
        of partition: Int, through: LogPosition, ask: Ask
    ) throws(LogFailure) -> SegmentChain {
        var known = state.withLock { $0.chains[partition] } ?? SegmentChain(partition: partition)
        guard known.through < through else {
            known.cut(after: through)
            return known
        }
        return try currentChain(of: partition, ask: ask).chain
    }

    /// The chain of a partition as far as the server says now.
    /// - Returns: the chain, and whether the server has all of its records.
    func currentChain(
        of partition: Int, ask: Ask
    ) throws(LogFailure) -> (chain: SegmentChain, isRecorded: Bool) {
        var known = state.withLock { $0.chains[partition] } ?? SegmentChain(partition: partition)
        // The last known record again: were it another one now, the others would not be what is known.
        var (anchor, records) = try ask(max(0, known.links.count - 1))
        if let last = known.links.last {
            if records.first != last.record {
                known = SegmentChain(partition: partition)
                (anchor, records) = try ask(0)
            } else {
                records.removeFirst()
            }
        }
        known.append(records, through: anchor.through)
        known.cut(after: anchor.through)
        let isRecorded = known.anchor == anchor
        if !isRecorded {
            do throws(SegmentFailure) { known = try walk(back: anchor, to: known) } catch {
                throw error.asLogFailure("archive")
            }
        }
        state.withLock { $0.chains[partition] = known }
        return (known, isRecorded)
    }

    /// The chain that ends with an anchor, found by reading segments back from the newest, each by the hash
    /// that the one behind it names, down to one that is known.
    private func walk(
        back anchor: ArchiveAnchor, to known: SegmentChain
    ) throws(SegmentFailure) -> SegmentChain {
        let partition = anchor.through.partition
        var found: [SegmentLink] = []
        var known = known
        var wanted = anchor
        let names = try names(partition)
        while true {
            known.cut(after: wanted.through)
            if known.anchor == wanted { break }
            guard wanted.through.milliseconds > 0 else {
                throw SegmentFailure(
                    .damaged, segment: "archive of \(LogPosition.partitionName(partition))",
                    text: "its first segment says that \(wanted.count) events come before it")
            }
            let link = try sealed(endingAt: wanted, among: names)
            found.append(link)
            wanted = ArchiveAnchor(
                through: link.name.after, count: link.countBefore, hash: link.previousHash)
        }
        return SegmentChain(partition: partition, known.links + found.reversed())
    }

    /// The segment that ends a chain, found by its hash.
    private func sealed(
        endingAt wanted: ArchiveAnchor, among names: [SegmentName]
    ) throws(SegmentFailure) -> SegmentLink {
        let partition = wanted.through.partition
        var other: (SegmentName, String)?
        for name in names where name.last == wanted.through {
            let (front, hash) = try store.readSealed(name, in: part(partition))
            guard hash == wanted.hash else {
                other = (name, hash)
                continue
            }
            let header = try header(front, of: name)
            guard header.countBefore + header.count == wanted.count else {
                throw SegmentFailure(
                    .damaged, segment: "\(name)",
                    text: "it ends with event \(header.countBefore + header.count) of its partition instead "
                        + "of \(wanted.count)")
            }
            return SegmentLink(header, hash: hash, frontHash: front.hash)
        }
        guard let (name, hash) = other else {
            throw SegmentFailure(
                .missing, segment: "archive of \(LogPosition.partitionName(partition))",
                text: "the segment that ends with \(wanted.through.entryID) is missing; restore the file, or "
                    + "look whether this is the right archive")
        }
        throw SegmentFailure(
            .damaged, segment: "\(name)",
            text: "it is whole, but not the segment that belongs here: its hash is \(hash), and the log's "
                + "chain says \(wanted.hash)")
    }

    private func header(
        _ front: SegmentFront, of name: SegmentName
    ) throws(SegmentFailure) -> SegmentHeader {
        guard let header = SegmentHeader(parsing: front.header) else {
            throw SegmentFailure(.damaged, segment: "\(name)", text: "its header cannot be read")
        }
        guard header.name == name, header.epoch == epoch else {
            throw SegmentFailure(
                .damaged, segment: "\(name)",
                text: "its header is that of \(header.name) of the log with epoch \(header.epoch)")
        }
        return header
    }

    /// Reads every segment of a chain whole, but for those that were read so a short while ago, and compares
    /// its hash with the chain's. Decompresses nothing.
    func verify(_ chain: SegmentChain) throws(SegmentFailure) {
        let now = ContinuousClock.now
        let known = state.withLock { $0.verified[chain.partition] }
        let fresh = known.flatMap { $0.at.duration(to: now) < Self.verifiedFor ? $0 : nil }
        let start = fresh.flatMap { fresh in chain.links.lastIndex { $0.hash == fresh.hash } }
        for link in chain.links[(start.map { $0 + 1 } ?? 0)...] {
            let (front, hash) = try store.readSealed(link.name, in: part(chain.partition))
            try require(link, front)
            guard hash == link.hash else { throw otherHash(hash, link) }
        }
        guard let last = chain.links.last else { return }
        let began = start == nil ? now : fresh?.at ?? now
        state.withLock { $0.verified[chain.partition] = (last.hash, began) }
    }

    // MARK: Segments

    /// A segment's index, from memory or from the store.
    func index(of link: SegmentLink) throws(SegmentFailure) -> SegmentIndex {
        if let known = state.withLock({ $0.indexes[link.hash] }) { return known }
        let front = try store.readFront(link.name, in: part(link.name.last.partition))
        try require(link, front)
        guard let index = SegmentIndex(front.index) else {
            throw SegmentFailure(.damaged, segment: "\(link.name)", text: "its index has a broken record")
        }
        state.withLock { state in
            if state.indexBytes + front.index.count > indexLimitBytes {
                state.indexes.removeAll()
                state.indexBytes = 0
            }
            if state.indexes.updateValue(index, forKey: link.hash) == nil {
                state.indexBytes += front.index.count
            }
        }
        return index
    }

    /// The entries of a segment: those that the chain vouches for, in order, and as many as it says.
    /// - Parameter next: the link behind it, whose segment has to name this one's hash: the server's record
    ///   alone is not believed.
    func payload(
        of link: SegmentLink, confirmedBy next: SegmentLink?
    ) throws(SegmentFailure) -> [UInt8] {
        if let next { _ = try index(of: next) }
        let stored = try store.read(link.name, in: part(link.name.last.partition))
        try require(
            link, SegmentFront(header: stored.header, index: stored.index, hash: stored.frontHash))
        guard stored.hash == link.hash else { throw otherHash(stored.hash, link) }
        try Self.requireOrder(stored.payload, link)
        return stored.payload
    }

    private func require(_ link: SegmentLink, _ front: SegmentFront) throws(SegmentFailure) {
        guard let difference = link.difference(front, epoch: epoch) else { return }
        throw SegmentFailure(
            .damaged, segment: "\(link.name)",
            text: "it is whole, but not the segment that belongs here: \(difference)")
    }

    private func otherHash(_ hash: String, _ link: SegmentLink) -> SegmentFailure {
        SegmentFailure(
            .damaged, segment: "\(link.name)",
            text: "it is whole, but not the segment that belongs here: its hash is \(hash), and the log's "
                + "chain says \(link.hash)")
    }

    /// Positions rise from behind `after` to `last`, and there are as many as the header says.
    private static func requireOrder(_ payload: [UInt8], _ link: SegmentLink) throws(SegmentFailure) {
        var cursor = SegmentCursor(payload, partition: link.name.last.partition)
        var (count, reached) = (0, link.name.after)
        while !cursor.isAtEnd {
            guard let (position, _) = cursor.next({ _, _ in false }) else {
                throw SegmentFailure(
                    .damaged, segment: "\(link.name)", text: "an entry does not follow the format")
            }
            guard position > reached else {
                throw SegmentFailure(
                    .damaged, segment: "\(link.name)",
                    text: "\(position.entryID) comes after \(reached.entryID)")
            }
            reached = position
            count += 1
        }
        guard reached == link.name.last, count == link.count else {
            throw SegmentFailure(
                .damaged, segment: "\(link.name)", text: "its entries are not those of its header")
        }
    }

    // MARK: Vouching

    /// Whether this process has a key to vouch for segments.
    var hasKey: Bool { store.hasKey }

    /// Leaves word that a segment was compared with the log, and is what it held.
    func vouch(for link: SegmentLink) throws(SegmentFailure) {
        try store.vouch(for: link.name, hash: link.hash, in: part(link.name.last.partition))
    }

    /// Whether somebody with a key has; nil when nobody has, or this process has no key to tell.
    func isVouched(_ link: SegmentLink) throws(SegmentFailure) -> Bool? {
        try store.isVouched(link.name, hash: link.hash, in: part(link.name.last.partition))
    }

    /// Takes a segment out of its part, and keeps it beside.
    func setAside(_ name: SegmentName) throws(SegmentFailure) {
        try store.setAside(name, in: part(name.last.partition))
    }

    // MARK: Archiving

    /// Names of the files in a partition's part, whatever they hold.
    func names(_ partition: Int) throws(SegmentFailure) -> [SegmentName] {
        try store.names(in: part(partition))
    }

    /// Throws `missing` for the first segment of a chain that has no file.
    func requireFiles(of chain: SegmentChain) throws(SegmentFailure) {
        guard !chain.links.isEmpty else { return }
        let names = Set(try names(chain.partition))
        guard let lost = chain.links.first(where: { !names.contains($0.name) }) else { return }
        throw SegmentFailure(
            .missing, segment: "\(LogPosition.partitionName(chain.partition))/\(lost.name)",
            text: "the log was trimmed up to \(chain.through.entryID), and this segment is not in the "
                + "archive; restore the missing file, or look whether this is the right archive")
    }

    /// What a segment says of itself, and the hash over the whole of it. Nothing vouches for it yet.
    func link(of name: SegmentName) throws(SegmentFailure) -> SegmentLink {
        let (front, hash) = try store.readSealed(name, in: part(name.last.partition))
        return SegmentLink(try header(front, of: name), hash: hash, frontHash: front.hash)
    }

    /// A segment that waits behind the end of the chain, which nothing vouches for yet: whoever reads it has
    /// to compare it with the stream. Its checksum and its place are verified.
    func waiting(
        _ name: SegmentName
    ) throws(SegmentFailure) -> (link: SegmentLink, events: [RecordedEvent]) {
        let stored = try store.read(name, in: part(name.last.partition))
        let front = SegmentFront(header: stored.header, index: stored.index, hash: stored.frontHash)
        let header = try header(front, of: name)
        let link = SegmentLink(header, hash: stored.hash, frontHash: stored.frontHash)
        try Self.requireOrder(stored.payload, link)
        guard let events = SegmentCoding.decode(stored.payload, partition: name.last.partition),
            events.first?.position == header.first
        else {
            throw SegmentFailure(
                .damaged, segment: "\(name)", text: "its entries are not those of its header")
        }
        // An index that lacks a history would hide its events from whoever loads it.
        guard SegmentIndex(of: events).encoded == stored.index else {
            throw SegmentFailure(
                .damaged, segment: "\(name)", text: "its index is not that of its entries")
        }
        return (link, events)
    }

    /// Writes a segment of events that follow each other without a gap.
    func write(_ events: [RecordedEvent], header: SegmentHeader) throws(SegmentFailure) {
        try store.write(
            header: header.json, index: SegmentIndex(of: events).encoded,
            payload: SegmentCoding.encode(events), as: header.name, in: part(header.after.partition))
    }
}
