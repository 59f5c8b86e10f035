internal import EventSourcing

/// Reads archived events, for one thread. Keeps the last segment in memory, so that pages that follow each
/// other cost no further file. Blocks.
final class ArchiveReader {
    private let archive: Archive
    private var name: SegmentName?
    private var payload: [UInt8] = []
    /// Where the page after the last one begins: a position in the log, and an offset in the payload.
    private var resume: (after: LogPosition, offset: Int)?

    init(_ archive: Archive) { self.archive = archive }

    /// Events after a position, in order, none beyond `through`, at most `limit`.
    func read(
        after position: LogPosition, through: LogPosition, limit: Int
    ) throws(LogFailure) -> [RecordedEvent] {
        guard position < through, limit > 0 else { return [] }
        var events: [RecordedEvent] = []
        var after = position
        do throws(SegmentFailure) {
            for segment in try archive.segments(after: position, through: through) {
                try open(segment)
                let start = resume.flatMap { $0.after == after ? $0.offset : nil } ?? 0
                var cursor = SegmentCursor(payload, partition: through.partition, offset: start)
                while !cursor.isAtEnd, events.count < limit {
                    let from = after
                    guard let entry = cursor.next({ place, _ in place > from }) else { throw broken(segment) }
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

    /// Events of one partition key with a sequence above `sequence`, in order, none beyond `through`, at
    /// most `limit`.
    func load(
        _ key: String, after sequence: UInt64, through: LogPosition, limit: Int
    ) throws(LogFailure) -> [RecordedEvent] {
        guard through.milliseconds > 0, limit > 0 else { return [] }
        let mark = SegmentIndex.mark(of: key)
        var events: [RecordedEvent] = []
        do throws(SegmentFailure) {
            let start = LogPosition.start(of: through.partition)
            for segment in try archive.segments(after: start, through: through) {
                guard let range = try archive.index(of: segment).range(mark), range.upperBound > sequence
                else {
                    continue
                }
                try open(segment)
                var cursor = SegmentCursor(payload, partition: through.partition)
                while !cursor.isAtEnd, events.count < limit {
                    guard let entry = cursor.next({ _, name in name() == key }) else { throw broken(segment) }
                    let last = events.last?.sequence ?? sequence
                    if let event = entry.event, event.sequence > last { events.append(event) }
                }
                guard events.count < limit else { break }
            }
        } catch { throw error.asLogFailure("load") }
        return events
    }

    /// The last sequence that a partition key has up to `through`; 0 when it has none there.
    func version(of key: String, through: LogPosition) throws(LogFailure) -> UInt64 {
        guard through.milliseconds > 0 else { return 0 }
        let mark = SegmentIndex.mark(of: key)
        do throws(SegmentFailure) {
            let start = LogPosition.start(of: through.partition)
            for segment in try archive.segments(after: start, through: through).reversed() {
                guard try archive.index(of: segment).range(mark) != nil else { continue }
                try open(segment)
                var cursor = SegmentCursor(payload, partition: through.partition)
                var version: UInt64 = 0
                while !cursor.isAtEnd {
                    guard let entry = cursor.next({ _, name in name() == key }) else { throw broken(segment) }
                    version = max(version, entry.event?.sequence ?? 0)
                }
                // The mark may have been another key's.
                if version > 0 { return version }
            }
        } catch { throw error.asLogFailure("version") }
        return 0
    }

    /// How many archived events stand up to a position.
    func rank(of position: LogPosition, through: LogPosition) throws(LogFailure) -> Int {
        guard through.milliseconds > 0, position.milliseconds > 0 else { return 0 }
        do throws(SegmentFailure) {
            let start = LogPosition.start(of: through.partition)
            let segments = try archive.segments(after: start, through: through)
            guard let name = segments.last(where: { $0.after <= position }) else { return 0 }
            let segment = try archive.segment(name)
            if position >= name.last { return segment.header.countBefore + segment.header.count }
            var cursor = SegmentCursor(segment.payload, partition: through.partition)
            var count = segment.header.countBefore
            while !cursor.isAtEnd {
                guard let entry = cursor.next({ _, _ in false }) else { throw broken(name) }
                if entry.position > position { break }
                count += 1
            }
            return count
        } catch { throw error.asLogFailure("rank") }
    }

    private func open(_ segment: SegmentName) throws(SegmentFailure) {
        guard segment != name else { return }
        name = nil
        resume = nil
        payload = try archive.segment(segment).payload
        name = segment
    }

    private func broken(_ segment: SegmentName) -> SegmentFailure {
        SegmentFailure(.damaged, segment: "\(segment)", text: "an entry does not follow the format")
    }
}
