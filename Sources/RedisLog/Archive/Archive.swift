internal import EventSourcing
internal import Synchronization

/// The archived part of a log, as the whole process sees it: the segments there are, and the indexes of
/// those that were looked at lately. Any thread; readers are made by `reader()`, one for each thread.
final class Archive: Sendable {
    /// Where the segments are.
    let store: any SegmentStore
    /// Epoch of the log.
    let epoch: String

    private struct State {
        var names: [Int: [SegmentName]] = [:]
        var indexes: [SegmentName: SegmentIndex] = [:]
        var indexBytes = 0
    }

    private let state = Mutex(State())
    private let indexLimitBytes: Int

    /// - Parameter indexLimitBytes: memory for indexes; those beyond it are read again when needed.
    init(_ store: any SegmentStore, epoch: String, indexLimitBytes: Int = 64 << 20) {
        self.store = store
        self.epoch = epoch
        self.indexLimitBytes = indexLimitBytes
    }

    /// A reader for the calling thread.
    func reader() -> ArchiveReader { ArchiveReader(self) }

    /// The shelf of a partition.
    func shelf(_ partition: Int) -> ArchiveShelf { ArchiveShelf(epoch: epoch, partition: partition) }

    /// Segments that cover a partition's stretch after `after` up to `through`, in order, each joining the
    /// one before it. Segments that overlap others are left out.
    /// - Throws: `missing`, naming the gap.
    func segments(
        after: LogPosition, through: LogPosition
    ) throws(SegmentFailure) -> [SegmentName] {
        let partition = through.partition
        if let known = state.withLock({ $0.names[partition] }),
            let covering = Self.cover(known, after, through)
        {
            return covering
        }
        let found = try store.names(on: shelf(partition))
        state.withLock { $0.names[partition] = found }
        if let covering = Self.cover(found, after, through) { return covering }
        var reached = after
        for name in found where name.after <= reached && name.last > reached { reached = name.last }
        throw SegmentFailure(
            .missing, segment: "archive of \(LogPosition.partitionName(partition))",
            text: "the log was trimmed up to \(through.entryID), and no segment holds what comes after "
                + "\(reached.entryID); restore the missing file, or look whether this is the right archive")
    }

    /// Forgets what is known of a partition's files, so that they are listed again.
    func refresh(_ partition: Int) { state.withLock { $0.names[partition] = nil } }

    private static func cover(
        _ names: [SegmentName], _ after: LogPosition, _ through: LogPosition
    ) -> [SegmentName]? {
        var reached = after
        var chosen: [SegmentName] = []
        for name in names where name.after <= reached && name.last > reached && name.last <= through {
            // Of two that begin alike the shorter one is listed first, and the longer one covers it.
            if let last = chosen.last, last.after == name.after { chosen.removeLast() }
            chosen.append(name)
            reached = name.last
            if reached == through { break }
        }
        return reached >= through ? chosen : nil
    }

    /// A segment's index, from memory or from the store.
    func index(of name: SegmentName) throws(SegmentFailure) -> SegmentIndex {
        if let known = state.withLock({ $0.indexes[name] }) { return known }
        let bytes = try store.readIndex(name, on: shelf(name.last.partition))
        guard let index = SegmentIndex(bytes) else {
            throw SegmentFailure(.damaged, segment: "\(name)", text: "its index has a broken record")
        }
        state.withLock { state in
            if state.indexBytes + bytes.count > indexLimitBytes {
                state.indexes.removeAll()
                state.indexBytes = 0
            }
            state.indexes[name] = index
            state.indexBytes += bytes.count
        }
        return index
    }

    /// A whole segment, its checksum, its header and its place verified.
    func segment(
        _ name: SegmentName
    ) throws(SegmentFailure) -> (header: SegmentHeader, payload: [UInt8], hash: String) {
        let stored = try store.read(name, on: shelf(name.last.partition))
        guard let header = SegmentHeader(parsing: stored.header) else {
            throw SegmentFailure(.damaged, segment: "\(name)", text: "its header cannot be read")
        }
        guard header.name == name, header.epoch == epoch else {
            throw SegmentFailure(
                .damaged, segment: "\(name)",
                text: "its header is that of \(header.name) of the log with epoch \(header.epoch)")
        }
        return (header, stored.payload, stored.hash)
    }

    /// Writes a segment of events that follow each other without a gap.
    func write(_ events: [RecordedEvent], header: SegmentHeader) throws(SegmentFailure) {
        try store.write(
            header: header.json, index: SegmentIndex(of: events).encoded,
            payload: SegmentCoding.encode(events), as: header.name, on: shelf(header.after.partition))
        refresh(header.after.partition)
    }
}
