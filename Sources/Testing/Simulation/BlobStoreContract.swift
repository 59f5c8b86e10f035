internal import Base
package import Blobs
internal import Files

/// One promise of a store of blobs, checked on a fresh, empty one.
package struct BlobStoreCase: Sendable, CustomStringConvertible {
    /// The promise in a sentence.
    package let description: String
    /// Checks it; throws `ContractViolation` or what the store throws. Blocks.
    package let check: @Sendable (any BlobStore) throws -> Void

    init(_ description: String, _ check: @escaping @Sendable (any BlobStore) throws -> Void) {
        self.description = description
        self.check = check
    }
}

/// What every store of blobs promises.
package enum BlobStoreContract {
    private static let name = "sess-A/00000001.reel"

    private static func put(
        _ bytes: [UInt8], _ name: String = name, in store: any BlobStore
    ) throws -> PutOutcome {
        let name = try BlobName(name)
        return try bytes.withUnsafeBytes { try store.putIfAbsent($0, name) }
    }

    private static func whole(_ name: String = name, of store: any BlobStore) throws -> [UInt8] {
        let buffer = ScratchBuffer()
        buffer.append([9, 9, 9])
        try store.read(try BlobName(name), into: buffer, expectedBytes: nil, maximumBytes: 1 << 20)
        return buffer.copyBytes()
    }

    private static func expectFailure(
        _ what: String, _ isWanted: (StorageFailure) -> Bool, _ body: () throws -> Void
    ) throws {
        do { try body() } catch let failure as StorageFailure {
            return try expect(isWanted(failure), "\(what): failed with \(failure)")
        }
        try expect(false, "\(what): did not fail")
    }

    /// The promises.
    package static let cases = [
        BlobStoreCase("what was put is there, whole, and the buffer holds nothing else") { store in
            let bytes = [UInt8](repeating: 7, count: 200_001) + [1, 2, 3]
            try expectEqual(try put(bytes, in: store), .stored, "outcome")
            try expectEqual(try whole(of: store), bytes, "bytes")
            try expectEqual(try store.size(BlobName(name)), bytes.count, "size")
        },
        BlobStoreCase("an empty blob is a blob, and a name without folder is a name") { store in
            try expectEqual(try put([], "top", in: store), .stored, "outcome")
            try expectEqual(try whole("top", of: store), [], "bytes")
            try expectEqual(try store.size(BlobName("top")), 0, "size")
            try expectEqual(try store.list([]).blobs, [StoredBlob(name: "top", bytes: 0)], "listing")
        },
        BlobStoreCase("what is there first stays") { store in
            _ = try put([1, 2, 3], in: store)
            try expectEqual(try put([4], in: store), .alreadyStored(bytes: 3), "second outcome")
            try expectEqual(try whole(of: store), [1, 2, 3], "bytes")
        },
        BlobStoreCase("of writers at once one wins, and its bytes are kept whole") { store in
            let outcomes = Lock<[UInt8: PutOutcome]>([:])
            try concurrently(8) { place in
                let bytes = [UInt8](repeating: UInt8(place), count: 100_000 + place)
                let outcome = try put(bytes, in: store)
                outcomes.withLock { $0[UInt8(place)] = outcome }
            }
            let winners = outcomes.withLock { $0.filter { $0.value == .stored }.keys.map { $0 } }
            try expectEqual(winners.count, 1, "winners")
            let winner = Int(winners.first ?? 0)
            try expectEqual(
                try whole(of: store), [UInt8](repeating: UInt8(winner), count: 100_000 + winner), "bytes")
            let length = PutOutcome.alreadyStored(bytes: 100_000 + winner)
            try expectEqual(
                outcomes.withLock { $0.filter { $0.value == length }.count }, 7, "told of the winner")
        },
        BlobStoreCase("nothing is read of a blob of another length than is known, or beyond the limit") {
            store in
            _ = try put([1, 2, 3], in: store)
            let buffer = ScratchBuffer()
            let name = try BlobName(name)
            for expected in [2, 4] {
                let isWanted: (StorageFailure) -> Bool = {
                    if case .wrongSize(_, expected, 3) = $0 { true } else { false }
                }
                try expectFailure("length \(expected)", isWanted) {
                    try store.read(name, into: buffer, expectedBytes: expected, maximumBytes: 10)
                }
            }
            let isTooLarge: (StorageFailure) -> Bool = {
                if case .tooLarge(_, 3, 2) = $0 { true } else { false }
            }
            try expectFailure("limit", isTooLarge) {
                try store.read(name, into: buffer, expectedBytes: 3, maximumBytes: 2)
            }
            try store.read(name, into: buffer, expectedBytes: 3, maximumBytes: 3)
            try expectEqual(buffer.copyBytes(), [1, 2, 3], "bytes")
        },
        BlobStoreCase("a part is read from where it begins, and ends where the blob does") { store in
            _ = try put([1, 2, 3, 4, 5], in: store)
            let buffer = ScratchBuffer()
            for (offset, count, wanted) in [
                (0, 2, [1, 2]), (1, 3, [2, 3, 4]), (3, 9, [4, 5]), (5, 1, []), (9, 1, []), (0, 0, []),
                (2, Int.max, [3, 4, 5]),
            ] as [(Int, Int, [UInt8])] {
                let size = try store.read(BlobName(name), from: offset, count: count, into: buffer)
                try expectEqual(size, 5, "size")
                try expectEqual(buffer.copyBytes(), wanted, "\(count) bytes from \(offset)")
            }
        },
        BlobStoreCase("what was never put is missing") { store in
            let (gone, buffer) = (try BlobName("sess-B/x"), ScratchBuffer())
            try expectEqual(try store.size(gone), nil, "size")
            try expectEqual(try store.list(["sess-B"]), BlobListing(), "listing")
            try expectEqual(try store.remove(gone), false, "removed")
            try expectEqual(try store.removeAll(["sess-B"]), 0, "all removed")
            try expectEqual(try store.move(gone, to: BlobName("y")), false, "moved")
            try expectFailure("read", \.isMissing) {
                try store.read(gone, into: buffer, expectedBytes: nil, maximumBytes: 1)
            }
            try expectFailure("read of a part", \.isMissing) {
                _ = try store.read(gone, from: 0, count: 1, into: buffer)
            }
        },
        BlobStoreCase("a place lists what stands there, by name, and what leads further down") { store in
            for name in ["b/2", "b/1", "b/c/3", "a", "b.d/1"] { _ = try put([1], name, in: store) }
            let top = try store.list([])
            try expectEqual(top.blobs.map(\.name), ["a"], "blobs at the top")
            try expectEqual(top.folders, ["b", "b.d"], "folders at the top")
            let inner = try store.list(["b"])
            try expectEqual(inner.blobs.map(\.name), ["1", "2"], "blobs")
            try expectEqual(inner.folders, ["c"], "folders")
            try expectEqual(top.others + inner.others, [], "others")
        },
        BlobStoreCase("a blob that was moved has its new name alone, and replaces what had it") { store in
            _ = try put([1], "a/1", in: store)
            _ = try put([2], "lost/a/1", in: store)
            try expectEqual(try store.move(BlobName("a/1"), to: BlobName("lost/a/1")), true, "moved")
            try expectEqual(try store.size(BlobName("a/1")), nil, "old name")
            try expectEqual(try whole("lost/a/1", of: store), [1], "new name")
        },
        BlobStoreCase("what was removed is gone, and its name is free") { store in
            _ = try put([1], in: store)
            try expectEqual(try store.remove(BlobName(name)), true, "removed")
            try expectEqual(try store.remove(BlobName(name)), false, "removed again")
            try expectEqual(try put([2], in: store), .stored, "put again")
        },
        BlobStoreCase("all that stands at a place goes with it, and nothing beside it") { store in
            for name in ["a/1", "a/b/2", "ab/3", "c"] { _ = try put([1], name, in: store) }
            try expectEqual(try store.removeAll(["a"]), 2, "removed")
            try expectEqual(try store.list([]).folders, ["ab"], "folders")
            try expectEqual(try store.removeAll([]), 0, "the whole store")
            try expectEqual(try whole("c", of: store), [1], "beside it")
        },
        BlobStoreCase("no name leads out of the store, or is one that a store uses itself") { _ in
            for text in [
                "", "/", "a/", "/a", "a//b", ".", "..", "../a", "a/../b", "a/.", "a\u{0}b", "a b", "ä",
                "a\\b",
                ".tmp-1", "a/.tmp-0", "1/2/3/4/5", String(repeating: "a", count: 151),
            ] {
                try expectFailure("\"\(text)\"", { $0 == .invalidIdentifier(text) }) {
                    _ = try BlobName(text)
                }
            }
            for text in ["a", ".lost/a/b/c", "..a", "A-Z_0.9", String(repeating: "a", count: 150)] {
                try expectEqual(try BlobName(text).description, text, "name")
            }
        },
        BlobStoreCase("sweeping takes no blob") { store in
            _ = try put([1], in: store)
            _ = try put([1], "top", in: store)
            try expectEqual(try store.sweepUnfinished(["sess-A"], olderThanSeconds: -10), 0, "swept")
            try expectEqual(try whole(of: store), [1], "bytes")
        },
    ]
}
