package import Blobs
package import Files
internal import Base

/// A sealed file in the store.
package struct StoredFile: Hashable, Sendable {
    /// The chunk's number, from 1.
    package let sequenceNumber: Int
    /// Length in bytes.
    package let bytes: Int
}

/// What a session's folder holds.
package struct SessionListing: Hashable, Sendable {
    /// The chunk files by number.
    package let files: [StoredFile]
    /// Names of what is no chunk file, with what it is; files of writes under way are left out.
    package let others: [OtherName]
}

/// Sealed chunk files in a store of blobs, each written once: `<session_id>/<sequence, eight digits>.reel`.
///
/// A file that is there is whole and durable. May be shared by threads and processes. Calls block: make them
/// on a thread of its own. Sealed files are read by `SealedFileReader` alone, which checks them.
package struct ChunkStore: Sendable {
    private let blobs: any BlobStore

    /// The chunk files of a store.
    package init(_ blobs: any BlobStore) { self.blobs = blobs }

    /// The chunk files below a folder, which is made with those above it if need be.
    package init(root: String) throws(StorageFailure) { self.init(try FileBlobs(root: root)) }

    /// Where the store is, for people.
    package var root: String { blobs.place }

    /// `storage_path` of a chunk, relative to the root.
    package static func relativePath(session: String, sequence: Int) throws(StorageFailure) -> String {
        guard Identifier.isValid(session) else { throw .invalidIdentifier(session) }
        return "\(session)/\(try ChunkPath.digits(sequence)).reel"
    }

    /// The whole path of a chunk's file, for people.
    package func path(session: String, sequence: Int) throws(StorageFailure) -> String {
        "\(root)/\(try Self.relativePath(session: session, sequence: sequence))"
    }

    private static func name(_ session: String, _ sequence: Int) throws(StorageFailure) -> BlobName {
        try BlobName(ChunkPath.folder(session), "\(ChunkPath.digits(sequence)).reel")
    }

    /// Writes a sealed file, durably, unless the chunk has one: then adopt that one. The log may describe it
    /// already, and a worker that was slow to wake up must not replace it.
    package func store(
        _ image: UnsafeRawBufferPointer, session: String, sequence: Int
    ) throws(StorageFailure) -> PutOutcome {
        try blobs.putIfAbsent(image, Self.name(session, sequence))
    }

    /// Replaces the contents of `buffer` with a chunk's whole file. Nothing of it was checked yet.
    /// - Parameters:
    ///   - expectedBytes: its length as the log has it; nil while the log does not describe it.
    ///   - maximumBytes: of a longer file nothing is read.
    func read(
        session: String, sequence: Int, into buffer: ScratchBuffer, expectedBytes: Int?, maximumBytes: Int
    ) throws(StorageFailure) {
        try blobs.read(
            Self.name(session, sequence), into: buffer, expectedBytes: expectedBytes,
            maximumBytes: maximumBytes)
    }

    /// Replaces the contents of `buffer` with the beginning of a chunk's file, as much as it has room for.
    /// - Returns: the file's length.
    func readStart(
        session: String, sequence: Int, into buffer: ScratchBuffer
    ) throws(StorageFailure) -> Int {
        try blobs.read(Self.name(session, sequence), from: 0, count: buffer.capacity, into: buffer)
    }

    /// Length of a chunk's file in bytes; nil when there is none.
    /// - Throws: `notAFile` for anything else that has the name.
    package func size(session: String, sequence: Int) throws(StorageFailure) -> Int? {
        try blobs.size(Self.name(session, sequence))
    }

    /// Everything that stands where a session's files are; empty when there is none.
    package func list(session: String) throws(StorageFailure) -> SessionListing {
        let found = try blobs.list(ChunkPath.folder(session))
        var files: [StoredFile] = []
        var others = found.others + found.folders.map { OtherName(name: $0, kind: .folder) }
        for blob in found.blobs {
            if let sequence = ChunkPath.sequence(in: blob.name),
                try "\(ChunkPath.digits(sequence)).reel" == blob.name
            {
                files.append(StoredFile(sequenceNumber: sequence, bytes: blob.bytes))
            } else {
                others.append(OtherName(name: blob.name, kind: .regular))
            }
        }
        return SessionListing(files: files, others: others.sorted { $0.name < $1.name })
    }

    /// Sessions that have files.
    package func sessions() throws(StorageFailure) -> [String] {
        try blobs.list([]).folders.filter(Identifier.isValid)
    }

    /// Place of files that no event describes any more; no session can have its name.
    package static let lostFolder = ".lost"

    /// Moves a chunk's file, durably, to the lost files, under its session as before. One that is there
    /// already by that name is replaced.
    /// - Returns: false when there was none.
    @discardableResult
    package func setAside(session: String, sequence: Int) throws(StorageFailure) -> Bool {
        let name = try Self.name(session, sequence)
        return try blobs.move(name, to: BlobName([Self.lostFolder] + name.folder, name.name))
    }

    /// Removes one chunk's file, durably, or whatever has its name and is no folder.
    /// - Returns: false when there was none.
    @discardableResult
    package func remove(session: String, sequence: Int) throws(StorageFailure) -> Bool {
        try blobs.remove(Self.name(session, sequence))
    }

    /// Removes everything that stands where a session's files are, durably.
    /// - Returns: how many files there were.
    @discardableResult
    package func removeSession(_ session: String) throws(StorageFailure) -> Int {
        try blobs.removeAll(ChunkPath.folder(session))
    }

    /// Removes what crashed writes left behind: files that no write has touched for `age` seconds.
    /// - Returns: how many there were.
    @discardableResult
    package func sweepTemporaries(olderThanSeconds age: Int) throws(StorageFailure) -> Int {
        var removed = 0
        var first: StorageFailure?
        for session in try sessions() {
            // A folder that can't be swept keeps no other from it, and is told of in the end.
            do throws(StorageFailure) {
                removed += try blobs.sweepUnfinished([session], olderThanSeconds: age)
            } catch { first = first ?? error }
        }
        if let first { throw first }
        return removed
    }
}
