internal import EventSourcing

/// Reads archived events along a chain of segments, for one thread. Keeps the last segment in memory, so
/// that pages that follow each other cost no further file. Blocks.
final class ArchiveReader {
    private let archive: Archive
    /// Hash of the segment in memory.
    private var hash = ""
    private var payload: [UInt8] = []
    /// Where the page after the last one begins: a position in the log, and an offset in the payload.
    private var resume: (after: LogPosition, offset: Int)?

    init(_ archive: Archive) { self.archive = archive }

    /// Events after a position, in order, at most `limit`.
    func read(
        after position: LogPosition, in chain: SegmentChain, limit: Int
    ) throws(LogFailure) -> [RecordedEvent] {
        guard limit > 0 else { return [] }
        var events: [RecordedEvent] = []
        var after = position
        do throws(SegmentFailure) {
            for link in chain.links(after: position) {
                try open(link, in: chain)
                let start = resume.flatMap { $0.after == after ? $0.offset : nil } ?? 0
                var cursor = SegmentCursor(payload, partition: chain.partition, offset: start)
                while !cursor.isAtEnd, events.count < limit {
                    let from = after
                    guard let entry = cursor.next({ place, _ in place > from }) else { throw broken(link) }
                    if let event = entry.event {
                        events.append(event)
                        after = entry.position
                    }
                }
                resume = (after, cursor.offset)
                guard events.count < limit else { break }
            }
        } catch { throw error.asLogFailure("read") }
        return events
    }

    /// Events of one partition key with a sequence above `sequence`, in order, at most `limit`.
    /// - Throws: `unreadable` where the sequences do not follow each other.
    func load(
        _ key: String, after sequence: UInt64, in chain: SegmentChain, limit: Int
    ) throws(LogFailure) -> [RecordedEvent] {
        guard limit > 0 else { return [] }
        let mark = SegmentIndex.mark(of: key)
        var events: [RecordedEvent] = []
        var gap: LogFailure?
        do throws(SegmentFailure) {
            for link in chain.links {
                guard let range = try archive.index(of: link).range(mark), range.upperBound > sequence else {
                    continue
                }
                try open(link, in: chain)
                var cursor = SegmentCursor(payload, partition: chain.partition)
                while !cursor.isAtEnd, events.count < limit {
                    guard let entry = cursor.next({ _, name in name() == key }) else { throw broken(link) }
                    guard let event = entry.event, event.sequence > sequence else { continue }
                    let last = events.last?.sequence ?? sequence
                    guard event.sequence == last + 1 else {
                        // The chain vouches for the segment: it was lost before it was archived.
                        gap = .unreadable(
                            "load", event.position,
                            "sequence \(event.sequence) of \(key) stands where \(last + 1) belongs: what comes "
                                + "before it is lost")
                        break
                    }
                    events.append(event)
                }
                guard gap == nil, events.count < limit else { break }
            }
        } catch { throw error.asLogFailure("load") }
        if let gap { throw gap }
        return events
    }

    /// The last sequence that a partition key has; 0 when it has none.
    func version(of key: String, in chain: SegmentChain) throws(LogFailure) -> UInt64 {
        let mark = SegmentIndex.mark(of: key)
        do throws(SegmentFailure) {
            for link in chain.links.reversed() {
                guard try archive.index(of: link).range(mark) != nil else { continue }
                try open(link, in: chain)
                var cursor = SegmentCursor(payload, partition: chain.partition)
                var version: UInt64 = 0
                while !cursor.isAtEnd {
                    guard let entry = cursor.next({ _, name in name() == key }) else { throw broken(link) }
                    version = max(version, entry.event?.sequence ?? 0)
                }
                // The mark may have been another key's.
                if version > 0 { return version }
            }
        } catch { throw error.asLogFailure("version") }
        return 0
    }

    /// How many archived events stand up to a position.
    func rank(of position: LogPosition, in chain: SegmentChain) throws(LogFailure) -> Int {
        guard position.milliseconds > 0 else { return 0 }
        guard let link = chain.links(after: position).first else { return chain.anchor.count }
        do throws(SegmentFailure) {
            try open(link, in: chain)
            var cursor = SegmentCursor(payload, partition: chain.partition)
            var count = link.countBefore
            while !cursor.isAtEnd {
                guard let entry = cursor.next({ _, _ in false }) else { throw broken(link) }
                if entry.position > position { break }
                count += 1
            }
            return count
        } catch { throw error.asLogFailure("rank") }
    }

    private func open(_ link: SegmentLink, in chain: SegmentChain) throws(SegmentFailure) {
        guard link.hash != hash else { return }
        hash = ""
        resume = nil
        payload = try archive.payload(of: link, confirmedBy: chain.next(after: link))
        hash = link.hash
    }

    private func broken(_ link: SegmentLink) -> SegmentFailure {
        SegmentFailure(.damaged, segment: "\(link.name)", text: "an entry does not follow the format")
    }
}
