internal import Base
package import EventSourcing

/// Segments in memory, and damage to them.
package final class InMemorySegmentStore: SegmentStore {
    private let shelves = Lock<[ArchiveShelf: [SegmentName: StoredSegment]]>([:])
    /// Hashes of the segments that were vouched for.
    private let vouched = Lock<[ArchiveShelf: [SegmentName: String]]>([:])
    private let aside = Lock<[SegmentName]>([])
    private let failing = Lock<Set<SegmentName>>([])

    /// An empty store.
    package init() {}

    /// Names on a shelf.
    package func names(on shelf: ArchiveShelf) throws(SegmentFailure) -> [SegmentName] {
        shelves.withLock { $0[shelf]?.keys.sorted() ?? [] }
    }

    /// Keeps a segment unless the name is taken.
    package func write(
        header: [UInt8], index: [UInt8], payload: [UInt8], as name: SegmentName, on shelf: ArchiveShelf
    ) throws(SegmentFailure) {
        let segment = StoredSegment.sealed(header: header, index: index, payload: payload)
        shelves.withLock { shelves in
            if shelves[shelf]?[name] == nil { shelves[shelf, default: [:]][name] = segment }
        }
    }

    /// A segment, verified.
    package func read(_ name: SegmentName, on shelf: ArchiveShelf) throws(SegmentFailure) -> StoredSegment {
        guard !failing.withLock({ $0.contains(name) }) else {
            throw SegmentFailure(
                .storage(transient: true), segment: "\(name)", text: "the disk does not answer")
        }
        guard let segment = shelves.withLock({ $0[shelf]?[name] }) else {
            throw SegmentFailure(.missing, segment: "\(name)", text: "there is no such segment")
        }
        let found = StoredSegment.sealed(
            header: segment.header, index: segment.index, payload: segment.payload)
        guard segment == found else {
            throw SegmentFailure(.damaged, segment: "\(name)", text: "its hash is not what was written")
        }
        return segment
    }

    /// A segment's beginning.
    package func readFront(
        _ name: SegmentName, on shelf: ArchiveShelf
    ) throws(SegmentFailure) -> SegmentFront { try readSealed(name, on: shelf).front }

    /// A segment's beginning and the hash of all of it.
    package func readSealed(
        _ name: SegmentName, on shelf: ArchiveShelf
    ) throws(SegmentFailure) -> (front: SegmentFront, hash: String) {
        let segment = try read(name, on: shelf)
        return (
            SegmentFront(header: segment.header, index: segment.index, hash: segment.frontHash), segment.hash
        )
    }

    /// It has.
    package var hasKey: Bool { true }

    /// Remembers that somebody has vouched for a segment.
    package func vouch(for name: SegmentName, hash: String, on shelf: ArchiveShelf) {
        vouched.withLock { $0[shelf, default: [:]][name] = hash }
    }

    /// Whether somebody has.
    package func isVouched(_ name: SegmentName, hash: String, on shelf: ArchiveShelf) -> Bool? {
        vouched.withLock { $0[shelf]?[name] }.map { $0 == hash }
    }

    /// Forgets what was vouched for, as in an archive of an earlier build.
    package func forgetVouchers() { vouched.withLock { $0 = [:] } }

    /// Forgets that somebody has vouched for a segment.
    package func forgetVoucher(of name: SegmentName, on shelf: ArchiveShelf) {
        vouched.withLock { $0[shelf]?[name] = nil }
    }

    /// Has a segment be read no more for now.
    package func failReads(of name: SegmentName) { failing.withLock { _ = $0.insert(name) } }

    /// Takes a segment off its shelf.
    package func setAside(_ name: SegmentName, on shelf: ArchiveShelf) {
        if remove(name, on: shelf) != nil { aside.withLock { $0.append(name) } }
    }

    /// Segments that were set aside.
    package var setAside: [SegmentName] { aside.withLock { $0 } }

    /// Epochs of the shelves that hold something.
    package func epochs() -> [String] {
        shelves.withLock { Set($0.filter { !$0.value.isEmpty }.keys.map(\.epoch)).sorted() }
    }

    /// Changes the last byte of a segment's payload.
    package func damage(_ name: SegmentName, on shelf: ArchiveShelf) {
        shelves.withLock { shelves in
            guard var segment = shelves[shelf]?[name], let last = segment.payload.popLast() else { return }
            segment.payload.append(last ^ 1)
            shelves[shelf]?[name] = segment
        }
    }

    /// Loses a segment; nil when there was none.
    @discardableResult
    package func remove(_ name: SegmentName, on shelf: ArchiveShelf) -> StoredSegment? {
        shelves.withLock { $0[shelf]?.removeValue(forKey: name) }
    }

    /// Puts a segment back.
    package func put(_ segment: StoredSegment, as name: SegmentName, on shelf: ArchiveShelf) {
        shelves.withLock { $0[shelf, default: [:]][name] = segment }
    }
}

extension StoredSegment {
    /// A segment with the hashes that belong to it, as whoever writes one makes them.
    package static func sealed(header: [UInt8], index: [UInt8], payload: [UInt8]) -> StoredSegment {
        func hash(_ parts: [UInt8]...) -> String {
            Hexadecimal.text(SHA256.digest(of: Array(parts.joined())))
        }
        return StoredSegment(
            header: header, index: index, payload: payload, hash: hash(header, index, payload),
            frontHash: hash(header, index))
    }
}
