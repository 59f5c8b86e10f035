internal import Glibc

/// What became of a file given to the chunk store.
public enum StoreOutcome: Hashable, Sendable {
    /// The file is there now, durably.
    case stored
    /// Another one was there first and stays; it is durable and has this many bytes. Adopt it: the log may
    /// describe it already, and a worker that was slow to wake up must not replace it.
    case alreadyStored(bytes: Int)
}

/// A sealed file in the store.
public struct StoredFile: Hashable, Sendable {
    /// The chunk's number, from 1.
    public let sequenceNumber: Int
    /// Length in bytes.
    public let bytes: Int
}

/// What a session's folder holds.
public struct SessionListing: Hashable, Sendable {
    /// The chunk files by number.
    public let files: [StoredFile]
    /// Names that no chunk file has; temporary names of writes under way are left out.
    public let otherNames: [String]
}

/// How much room a file system has.
public struct DiskSpace: Hashable, Sendable {
    /// Bytes that this user may still write.
    public let availableBytes: Int
    /// Bytes of the whole file system.
    public let totalBytes: Int

    /// Room from its parts.
    public init(availableBytes: Int, totalBytes: Int) {
        self.availableBytes = availableBytes
        self.totalBytes = totalBytes
    }
}

/// Sealed chunk files, each written once: `<root>/<session_id>/<sequence, eight digits>.reel`.
///
/// A file that is there is whole and durable. May be shared by threads and processes. Calls block on the
/// disk: make them on a thread of its own.
public struct ChunkStore: Sendable {
    /// Largest file that is read unless the caller says otherwise: 1 GiB and room for header and tag.
    public static let defaultMaximumBytes = (1 << 30) + 8192

    private let folders: SessionFolders

    /// The store in a folder, which is made with those above it if need be.
    public init(root: String) throws(StorageFailure) {
        folders = try SessionFolders(root: root, folderMode: 0o750, fileMode: 0o640)
    }

    /// The folder.
    public var root: String { folders.root }

    /// `storage_path` of a chunk, relative to the root.
    public static func relativePath(session: String, sequence: Int) throws(StorageFailure) -> String {
        guard Identifier.isValid(session) else { throw .invalidIdentifier(session) }
        return "\(session)/\(try SessionFolders.digits(sequence)).reel"
    }

    /// The whole path of a chunk's file.
    public func path(session: String, sequence: Int) throws(StorageFailure) -> String {
        "\(root)/\(try Self.relativePath(session: session, sequence: sequence))"
    }

    /// Writes a sealed file, durably, unless the chunk has one.
    public func store(
        _ image: UnsafeRawBufferPointer, session: String, sequence: Int
    ) throws(StorageFailure) -> StoreOutcome {
        let final = try path(session: session, sequence: sequence)
        // Spares a whole write when the work was done before a crash.
        if try Files.status(final) != nil { return try adopt(final, session: session) }
        let isNew = try folders.writeDurably(session: session, bytes: image) {
            temporary throws(StorageFailure) in
            let isNew = try Files.linkIfAbsent(temporary, to: final)
            try Files.remove(temporary)
            return isNew
        }
        return isNew ? .stored : try adopt(final, session: session)
    }

    /// Gives a sealed file from the spool its place, durably, unless the chunk has one. Without a second
    /// write where both are on one file system: the spool's name then stays valid until it is purged.
    /// - Parameter buffer: used for the copy between file systems.
    public func store(
        fileAt source: String, session: String, sequence: Int, copyingThrough buffer: ScratchBuffer
    ) throws(StorageFailure) -> StoreOutcome {
        let final = try path(session: session, sequence: sequence)
        if try Files.status(final) != nil { return try adopt(final, session: session) }
        let folder = try folders.prepare(session)
        try Files.openForReading(source).synchronize()
        do {
            guard try Files.linkIfAbsent(source, to: final) else {
                return try adopt(final, session: session)
            }
        } catch .file(let failure) where [EXDEV, EPERM, EMLINK].contains(failure.code) {
            try SessionFolders.read(
                source, into: buffer, expectedBytes: nil, maximumBytes: Self.defaultMaximumBytes)
            return try buffer.withBytes { image throws(StorageFailure) in
                try store(image, session: session, sequence: sequence)
            }
        }
        try Files.synchronizeFolder(folder)
        return .stored
    }

    /// Replaces the contents of `buffer` with a chunk's whole file.
    public func read(
        session: String, sequence: Int, into buffer: ScratchBuffer, expectedBytes: Int? = nil,
        maximumBytes: Int = ChunkStore.defaultMaximumBytes
    ) throws(StorageFailure) {
        try SessionFolders.read(
            path(session: session, sequence: sequence), into: buffer, expectedBytes: expectedBytes,
            maximumBytes: maximumBytes)
    }

    /// The header of a chunk's file and the file's length, reading only its beginning.
    public func inspect(
        session: String, sequence: Int
    ) throws(StorageFailure) -> (parts: SealedParts, fileBytes: Int) {
        try Self.inspect(fileAt: path(session: session, sequence: sequence))
    }

    /// The header of any sealed file and the file's length, reading only its beginning.
    public static func inspect(
        fileAt path: String
    ) throws(StorageFailure) -> (parts: SealedParts, fileBytes: Int) {
        let file = try Files.openForReading(path)
        let size = Int(try file.status().st_size)
        let start = ScratchBuffer(capacity: SealedLayout.fixedBytes + SealedHeader.maximumBytes)
        start.setCount(
            try file.read(
                into: start.base, count: SealedLayout.fixedBytes + SealedHeader.maximumBytes, at: 0))
        do {
            let parts = try start.withBytes { bytes throws(SealFailure) in
                try SealedParts(inspecting: bytes, fileBytes: size)
            }
            return (parts, size)
        } catch {
            throw .notSealed(path: path, error)
        }
    }

    /// Length of a chunk's file in bytes; nil when there is none.
    public func size(session: String, sequence: Int) throws(StorageFailure) -> Int? {
        try Files.status(path(session: session, sequence: sequence)).map { Int($0.st_size) }
    }

    /// Everything in a session's folder; empty when there is none.
    public func list(session: String) throws(StorageFailure) -> SessionListing {
        let folder = try folders.folder(session)
        var files: [StoredFile] = []
        var others: [String] = []
        for name in try Files.names(in: folder) ?? []
        where !name.hasPrefix(SessionFolders.temporaryPrefix) {
            guard let status = try Files.status("\(folder)/\(name)") else { continue }
            if let sequence = SessionFolders.sequence(in: name), name.utf8.count == 13,
                name.hasSuffix(".reel"), status.st_mode & S_IFMT == S_IFREG
            {
                files.append(StoredFile(sequenceNumber: sequence, bytes: Int(status.st_size)))
            } else {
                others.append(name)
            }
        }
        return SessionListing(files: files, otherNames: others)
    }

    /// Sessions that have a folder.
    public func sessions() throws(StorageFailure) -> [String] {
        try folders.sessions()
    }

    /// Folder in the root of files that no event describes any more; no session can have its name.
    public static let lostFolder = ".lost"

    /// Moves a chunk's file, durably, to the folder of lost files, under a session's folder as before. One
    /// that is there already by that name is replaced.
    /// - Returns: false when there was none.
    @discardableResult
    public func setAside(session: String, sequence: Int) throws(StorageFailure) -> Bool {
        let file = try path(session: session, sequence: sequence)
        guard try Files.status(file) != nil else { return false }
        let lost = "\(root)/\(Self.lostFolder)"
        let target = "\(lost)/\(try Self.relativePath(session: session, sequence: sequence))"
        if try Files.makeFolder(lost, mode: folders.folderMode) { try Files.synchronizeFolder(root) }
        if try Files.makeFolder("\(lost)/\(session)", mode: folders.folderMode) {
            try Files.synchronizeFolder(lost)
        }
        try Files.rename(file, to: target)
        try Files.synchronizeFolder("\(lost)/\(session)")
        try Files.synchronizeFolder(folders.folder(session))
        return true
    }

    /// Removes one chunk's file, durably.
    /// - Returns: false when there was none.
    @discardableResult
    public func remove(session: String, sequence: Int) throws(StorageFailure) -> Bool {
        let removed = try Files.remove(path(session: session, sequence: sequence))
        if removed { try Files.synchronizeFolder(folders.folder(session)) }
        return removed
    }

    /// Removes a session's folder with everything in it, durably.
    /// - Returns: how many files there were.
    @discardableResult
    public func removeSession(_ session: String) throws(StorageFailure) -> Int {
        try folders.removeSession(session)
    }

    /// Removes what crashed writes left behind: temporary names that no write has touched for `age` seconds.
    /// - Returns: how many there were.
    @discardableResult
    public func sweepTemporaries(olderThanSeconds age: Int) throws(StorageFailure) -> Int {
        try folders.sweepTemporaries(olderThanSeconds: age)
    }

    /// How much room the store's file system has.
    public func diskSpace() throws(StorageFailure) -> DiskSpace {
        try DiskSpace.of(root)
    }

    /// Makes a file that was there first durable: its writer may have died between giving it its name and
    /// synchronizing the folder.
    private func adopt(_ final: String, session: String) throws(StorageFailure) -> StoreOutcome {
        let file = try Files.openForReading(final)
        try file.synchronize()
        try Files.synchronizeFolder(folders.prepare(session))
        return .alreadyStored(bytes: Int(try file.status().st_size))
    }
}
