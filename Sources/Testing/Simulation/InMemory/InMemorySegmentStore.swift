internal import Base
package import EventSourcing

/// Segments in memory, and damage to them.
package final class InMemorySegmentStore: SegmentStore {
    private let parts = Lock<[ArchivePart: [SegmentName: StoredSegment]]>([:])
    /// Hashes of the segments that were vouched for.
    private let vouched = Lock<[ArchivePart: [SegmentName: String]]>([:])
    private let aside = Lock<[SegmentName]>([])
    private let failing = Lock<Set<SegmentName>>([])

    /// An empty store.
    package init() {}

    /// Names in a part.
    package func names(in part: ArchivePart) throws(SegmentFailure) -> [SegmentName] {
        parts.withLock { $0[part]?.keys.sorted() ?? [] }
    }

    /// Keeps a segment unless the name is taken.
    package func write(
        header: [UInt8], index: [UInt8], payload: [UInt8], as name: SegmentName, in part: ArchivePart
    ) throws(SegmentFailure) {
        let segment = StoredSegment.sealed(header: header, index: index, payload: payload)
        parts.withLock { parts in
            if parts[part]?[name] == nil { parts[part, default: [:]][name] = segment }
        }
    }

    /// A segment, verified.
    package func read(_ name: SegmentName, in part: ArchivePart) throws(SegmentFailure) -> StoredSegment {
        guard !failing.withLock({ $0.contains(name) }) else {
            throw SegmentFailure(
                .storage(transient: true), segment: "\(name)", text: "the disk does not answer")
        }
        guard let segment = parts.withLock({ $0[part]?[name] }) else {
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
        _ name: SegmentName, in part: ArchivePart
    ) throws(SegmentFailure) -> SegmentFront { try readSealed(name, in: part).front }

    /// A segment's beginning and the hash of all of it.
    package func readSealed(
        _ name: SegmentName, in part: ArchivePart
    ) throws(SegmentFailure) -> (front: SegmentFront, hash: String) {
        let segment = try read(name, in: part)
        return (
            SegmentFront(header: segment.header, index: segment.index, hash: segment.frontHash), segment.hash
        )
    }

    /// It has.
    package var hasKey: Bool { true }

    /// Remembers that somebody has vouched for a segment.
    package func vouch(for name: SegmentName, hash: String, in part: ArchivePart) {
        vouched.withLock { $0[part, default: [:]][name] = hash }
    }

    /// Whether somebody has.
    package func isVouched(_ name: SegmentName, hash: String, in part: ArchivePart) -> Bool? {
        vouched.withLock { $0[part]?[name] }.map { $0 == hash }
    }

    /// Forgets what was vouched for, as in an archive of an earlier build.
    package func forgetVouchers() { vouched.withLock { $0 = [:] } }

    /// Forgets that somebody has vouched for a segment.
    package func forgetVoucher(of name: SegmentName, in part: ArchivePart) {
        vouched.withLock { $0[part]?[name] = nil }
    }

    /// Has a segment be read no more for now.
    package func failReads(of name: SegmentName) { failing.withLock { _ = $0.insert(name) } }

    /// Takes a segment out of its part.
    package func setAside(_ name: SegmentName, in part: ArchivePart) {
        if remove(name, in: part) != nil { aside.withLock { $0.append(name) } }
    }

    /// Segments that were set aside.
    package var setAside: [SegmentName] { aside.withLock { $0 } }

    /// Epochs of the parts that hold something.
    package func epochs() -> [String] {
        parts.withLock { Set($0.filter { !$0.value.isEmpty }.keys.map(\.epoch)).sorted() }
    }

    /// Changes the last byte of a segment's payload.
    package func damage(_ name: SegmentName, in part: ArchivePart) {
        parts.withLock { parts in
            guard var segment = parts[part]?[name], let last = segment.payload.popLast() else { return }
            segment.payload.append(last ^ 1)
            parts[part]?[name] = segment
        }
    }

    /// Loses a segment; nil when there was none.
    @discardableResult
    package func remove(_ name: SegmentName, in part: ArchivePart) -> StoredSegment? {
        parts.withLock { $0[part]?.removeValue(forKey: name) }
    }

    /// Puts a segment back.
    package func put(_ segment: StoredSegment, as name: SegmentName, in part: ArchivePart) {
        parts.withLock { $0[part, default: [:]][name] = segment }
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
