internal import Glibc
internal import Base

/// What became of a file given to the chunk store.
package enum StoreOutcome: Hashable, Sendable {
    /// The file is there now, durably.
    case stored
    /// Another one was there first and stays; it is durable and has this many bytes. Adopt it: the log may
    /// describe it already, and a worker that was slow to wake up must not replace it.
    case alreadyStored(bytes: Int)
}

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

/// A name in a session's folder that no chunk file has, or that something else than a file has.
package struct OtherName: Hashable, Sendable {
    /// The name; bytes that are no UTF-8 are shown as replacements.
    package let name: String
    /// What it stands for.
    package let kind: FileKind
}

/// How much room a file system has.
package struct DiskSpace: Hashable, Sendable {
    /// Bytes that this user may still write.
    package let availableBytes: Int
    /// Bytes of the whole file system.
    package let totalBytes: Int
    package init(availableBytes: Int, totalBytes: Int) {
        self.availableBytes = availableBytes
        self.totalBytes = totalBytes
    }
}

/// Sealed chunk files, each written once: `<root>/<session_id>/<sequence, eight digits>.reel`.
///
/// A file that is there is whole and durable. May be shared by threads and processes. Calls block on the
/// disk: make them on a thread of its own.
///
/// The store holds its folder open and never leaves it: no link in it is followed, nothing but regular files
/// is opened. Sealed files are read by `SealedFileReader` alone, which checks them.
package struct ChunkStore: Sendable {
    private let folders: SessionFolders

    /// The store in a folder, which is made with those above it if need be.
    package init(root: String) throws(StorageFailure) {
        folders = try SessionFolders(root: root, folderMode: 0o750, fileMode: 0o640)
    }

    /// The folder.
    package var root: String { folders.root.path }

    /// `storage_path` of a chunk, relative to the root.
    package static func relativePath(session: String, sequence: Int) throws(StorageFailure) -> String {
        guard Identifier.isValid(session) else { throw .invalidIdentifier(session) }
        return "\(session)/\(try SessionFolders.digits(sequence)).reel"
    }

    /// The whole path of a chunk's file, for people.
    package func path(session: String, sequence: Int) throws(StorageFailure) -> String {
        "\(root)/\(try Self.relativePath(session: session, sequence: sequence))"
    }

    private static func name(_ sequence: Int) throws(StorageFailure) -> String {
        "\(try SessionFolders.digits(sequence)).reel"
    }

    /// Writes a sealed file, durably, unless the chunk has one.
    package func store(
        _ image: UnsafeRawBufferPointer, session: String, sequence: Int
    ) throws(StorageFailure) -> StoreOutcome {
        let final = try Self.name(sequence)
        // Spares a whole write when the work was done before a crash.
        if let there = try folders.folder(session), try there.status(final) != nil {
            return try adopt(final, session: session)
        }
        let isNew = try folders.writeDurably(session: session, bytes: image) {
            folder, temporary throws(StorageFailure) in
            let isNew = try folder.link(temporary, as: final)
            try folder.remove(temporary)
            return isNew
        }
        return isNew ? .stored : try adopt(final, session: session)
    }

    /// Replaces the contents of `buffer` with a chunk's whole file. Nothing of it was checked yet.
    /// - Parameters:
    ///   - expectedBytes: its length as the log has it; nil while the log does not describe it.
    ///   - maximumBytes: of a longer file nothing is read.
    func read(
        session: String, sequence: Int, into buffer: ScratchBuffer, expectedBytes: Int?, maximumBytes: Int
    ) throws(StorageFailure) {
        let name = try Self.name(sequence)
        try folders.folder(session, with: name).read(
            name, into: buffer, expectedBytes: expectedBytes, maximumBytes: maximumBytes)
    }

    /// Replaces the contents of `buffer` with the beginning of a chunk's file, as much as it has room for.
    /// - Returns: the file's length.
    func readStart(
        session: String, sequence: Int, into buffer: ScratchBuffer
    ) throws(StorageFailure) -> Int {
        let name = try Self.name(sequence)
        let file = try folders.folder(session, with: name).openForReading(name)
        buffer.setCount(try file.read(into: buffer.base, count: buffer.capacity, at: 0))
        return try file.status().bytes
    }

    /// Length of a chunk's file in bytes; nil when there is none.
    /// - Throws: `notAFile` for anything else that has the name.
    package func size(session: String, sequence: Int) throws(StorageFailure) -> Int? {
        let name = try Self.name(sequence)
        guard let folder = try folders.folder(session), let status = try folder.status(name) else {
            return nil
        }
        guard status.kind == .regular else { throw .notAFile(path: folder.full(name), status.kind) }
        return status.bytes
    }

    /// Everything in a session's folder; empty when there is none.
    package func list(session: String) throws(StorageFailure) -> SessionListing {
        var files: [StoredFile] = []
        var others: [OtherName] = []
        guard let folder = try folders.folder(session) else { return SessionListing(files: [], others: []) }
        for name in try folder.names() {
            guard let status = try folder.status(name) else { continue }
            let isFile = status.kind == .regular
            if isFile, let sequence = SessionFolders.sequence(in: name.bytes),
                try Self.name(sequence) == name.text, name.isText
            {
                files.append(StoredFile(sequenceNumber: sequence, bytes: status.bytes))
            } else if !isFile || !name.text.hasPrefix(SessionFolders.temporaryPrefix) {
                others.append(OtherName(name: name.text, kind: status.kind))
            }
        }
        return SessionListing(files: files, others: others)
    }

    /// Sessions that have a folder.
    package func sessions() throws(StorageFailure) -> [String] {
        try folders.sessions()
    }

    /// Folder in the root of files that no event describes any more; no session can have its name.
    package static let lostFolder = ".lost"

    /// Moves a chunk's file, durably, to the folder of lost files, under a session's folder as before. One
    /// that is there already by that name is replaced.
    /// - Returns: false when there was none.
    @discardableResult
    package func setAside(session: String, sequence: Int) throws(StorageFailure) -> Bool {
        let name = try Self.name(sequence)
        guard let folder = try folders.folder(session), try folder.status(name) != nil else { return false }
        let lost = try folders.root.makeFolder(Self.lostFolder, mode: folders.folderMode)
        if lost.isNew { try folders.root.synchronize() }
        let target = try lost.folder.makeFolder(session, mode: folders.folderMode)
        if target.isNew { try lost.folder.synchronize() }
        try folder.rename(name, to: name, in: target.folder)
        try target.folder.synchronize()
        try folder.synchronize()
        return true
    }

    /// Removes one chunk's file, durably, or whatever has its name and is no folder.
    /// - Returns: false when there was none.
    @discardableResult
    package func remove(session: String, sequence: Int) throws(StorageFailure) -> Bool {
        let name = try Self.name(sequence)
        guard let folder = try folders.folder(session) else { return false }
        let removed = try folder.remove(name)
        if removed { try folder.synchronize() }
        return removed
    }

    /// Removes a session's folder with everything in it, durably.
    /// - Returns: how many files there were.
    @discardableResult
    package func removeSession(_ session: String) throws(StorageFailure) -> Int {
        try folders.removeSession(session)
    }

    /// Removes what crashed writes left behind: temporary names that no write has touched for `age` seconds.
    /// - Returns: how many there were.
    @discardableResult
    package func sweepTemporaries(olderThanSeconds age: Int) throws(StorageFailure) -> Int {
        try folders.sweepTemporaries(olderThanSeconds: age)
    }

    /// How much room the store's file system has.
    package func diskSpace() throws(StorageFailure) -> DiskSpace {
        try DiskSpace.of(root)
    }

    /// Makes a file that was there first durable: its writer may have died between giving it its name and
    /// synchronizing the folder.
    private func adopt(_ final: String, session: String) throws(StorageFailure) -> StoreOutcome {
        let folder = try folders.prepare(session)
        let file = try folder.openForReading(final)
        try file.synchronize()
        try folder.synchronize()
        return .alreadyStored(bytes: try file.status().bytes)
    }
}
