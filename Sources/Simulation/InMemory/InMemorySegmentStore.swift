public import EventSourcing
internal import Synchronization

/// Segments in memory, and damage to them.
public final class InMemorySegmentStore: SegmentStore {
    private let shelves = Mutex<[ArchiveShelf: [SegmentName: StoredSegment]]>([:])

    /// An empty store.
    public init() {}

    /// Names on a shelf.
    public func names(on shelf: ArchiveShelf) throws(SegmentFailure) -> [SegmentName] {
        shelves.withLock { $0[shelf]?.keys.sorted() ?? [] }
    }

    /// Keeps a segment unless the name is taken.
    public func write(
        header: [UInt8], index: [UInt8], payload: [UInt8], as name: SegmentName, on shelf: ArchiveShelf
    ) throws(SegmentFailure) {
        let segment = StoredSegment(
            header: header, index: index, payload: payload, hash: Self.hash(header, index, payload))
        shelves.withLock { shelves in
            if shelves[shelf]?[name] == nil { shelves[shelf, default: [:]][name] = segment }
        }
    }

    /// A segment, verified.
    public func read(_ name: SegmentName, on shelf: ArchiveShelf) throws(SegmentFailure) -> StoredSegment {
        guard let segment = shelves.withLock({ $0[shelf]?[name] }) else {
            throw SegmentFailure(.missing, segment: "\(name)", text: "there is no such segment")
        }
        guard segment.hash == Self.hash(segment.header, segment.index, segment.payload) else {
            throw SegmentFailure(.damaged, segment: "\(name)", text: "its hash is not what was written")
        }
        return segment
    }

    /// A segment's index.
    public func readIndex(_ name: SegmentName, on shelf: ArchiveShelf) throws(SegmentFailure) -> [UInt8] {
        try read(name, on: shelf).index
    }

    /// Changes the last byte of a segment's payload.
    public func damage(_ name: SegmentName, on shelf: ArchiveShelf) {
        shelves.withLock { shelves in
            guard var segment = shelves[shelf]?[name], let last = segment.payload.popLast() else { return }
            segment.payload.append(last ^ 1)
            shelves[shelf]?[name] = segment
        }
    }

    /// Loses a segment; nil when there was none.
    @discardableResult
    public func remove(_ name: SegmentName, on shelf: ArchiveShelf) -> StoredSegment? {
        shelves.withLock { $0[shelf]?.removeValue(forKey: name) }
    }

    /// Puts a segment back.
    public func put(_ segment: StoredSegment, as name: SegmentName, on shelf: ArchiveShelf) {
        shelves.withLock { $0[shelf, default: [:]][name] = segment }
    }

    private static func hash(_ header: [UInt8], _ index: [UInt8], _ payload: [UInt8]) -> String {
        var bytes = header
        bytes += index
        bytes += payload
        return SHA256.digest(of: bytes).map { byte in
            let text = String(byte, radix: 16)
            return text.count == 1 ? "0" + text : text
        }.joined()
    }
}
