internal import Base
package import Blobs
package import Files

/// Blobs in memory, for tests. Any thread may call.
package final class InMemoryBlobs: BlobStore {
    private let blobs = Lock<[BlobName: [UInt8]]>([:])

    /// An empty store.
    package init() {}

    /// Always the same: there is nothing to find.
    package var place: String { "memory" }

    /// Copies the bytes.
    package func putIfAbsent(
        _ bytes: UnsafeRawBufferPointer, _ name: BlobName
    ) throws(StorageFailure) -> PutOutcome {
        blobs.withLock { blobs in
            if let there = blobs[name] { return .alreadyStored(bytes: there.count) }
            blobs[name] = [UInt8](bytes)
            return .stored
        }
    }

    private func bytes(_ name: BlobName) throws(StorageFailure) -> [UInt8] {
        guard let found = blobs.withLock({ $0[name] }) else { throw .missing(path: "\(place)/\(name)") }
        return found
    }

    /// Copies the bytes out.
    package func read(
        _ name: BlobName, into buffer: ScratchBuffer, expectedBytes: Int?, maximumBytes: Int
    ) throws(StorageFailure) {
        buffer.removeAll()
        let (found, path) = (try bytes(name), "\(place)/\(name)")
        if let expectedBytes, expectedBytes != found.count {
            throw .wrongSize(path: path, expected: expectedBytes, found: found.count)
        }
        guard found.count <= maximumBytes else {
            throw .tooLarge(path: path, bytes: found.count, limit: maximumBytes)
        }
        buffer.append(found)
    }

    /// Copies a part out.
    package func read(
        _ name: BlobName, from offset: Int, count: Int, into buffer: ScratchBuffer
    ) throws(StorageFailure) -> Int {
        buffer.removeAll()
        let found = try bytes(name)
        if offset >= 0, count > 0 { buffer.append(Array(found.dropFirst(offset).prefix(count))) }
        return found.count
    }

    /// Looks the name up.
    package func size(_ name: BlobName) throws(StorageFailure) -> Int? {
        blobs.withLock { $0[name]?.count }
    }

    /// Goes through all names.
    package func list(_ folder: [String]) throws(StorageFailure) -> BlobListing {
        try BlobName.check(folder: folder)
        var listing = BlobListing()
        blobs.withLock { blobs in
            for (name, bytes) in blobs where name.folder == folder {
                listing.blobs.append(StoredBlob(name: name.name, bytes: bytes.count))
            }
            let below = blobs.keys.filter { $0.folder.count > folder.count && $0.folder.starts(with: folder) }
            listing.folders = Set(below.map { $0.folder[folder.count] }).sorted()
        }
        listing.blobs.sort { $0.name < $1.name }
        return listing
    }

    /// Takes one name away and gives the other.
    package func move(_ name: BlobName, to other: BlobName) throws(StorageFailure) -> Bool {
        blobs.withLock { blobs in
            guard let bytes = blobs.removeValue(forKey: name) else { return false }
            blobs[other] = bytes
            return true
        }
    }

    /// Forgets the bytes.
    package func remove(_ name: BlobName) throws(StorageFailure) -> Bool {
        blobs.withLock { $0.removeValue(forKey: name) != nil }
    }

    /// Forgets all whose names begin so.
    package func removeAll(_ folder: [String]) throws(StorageFailure) -> Int {
        try BlobName.check(folder: folder)
        guard !folder.isEmpty else { return 0 }
        return blobs.withLock { blobs in
            let names = blobs.keys.filter { $0.folder.starts(with: folder) }
            for name in names { blobs[name] = nil }
            return names.count
        }
    }

    /// Nothing is ever unfinished here.
    package func sweepUnfinished(_ folder: [String], olderThanSeconds age: Int) throws(StorageFailure) -> Int
    { 0 }
}
