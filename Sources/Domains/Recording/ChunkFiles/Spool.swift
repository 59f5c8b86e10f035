package import Files
internal import Base
internal import Glibc

/// How much lies in the spool.
package struct SpoolUsage: Hashable, Sendable {
    /// Sum of the files' lengths.
    package let bytes: Int
    /// Number of files, temporary ones included.
    package let files: Int
}

/// Chunks on their way: `<root>/<session_id>/<sequence, eight digits>.raw-<lineage>` as recorded, and
/// `….<stage>-<lineage>-<random hex>` between stages that run in different workers; see `SpoolName`.
///
/// What `write` has returned for is durable. May be shared by threads and processes. Calls block on the disk:
/// make them on a thread of its own.
package final class Spool: Sendable {
    /// Largest file that is read unless the caller says otherwise: 1 GiB and some.
    package static let defaultMaximumBytes = (1 << 30) + 8192
    /// How often a folder is looked at that changes all the time.
    private static let looks = 5

    let folders: FileTree
    /// What may lie here, whoever wrote it; nil when nobody has said.
    package let limitBytes: Int?

    /// The spool in a folder, which is made with those above it if need be.
    /// - Parameter limitBytes: a quota over all that lies here, whoever wrote it: recorded chunks that would
    ///   go beyond are refused with `StorageFailure.full`. What is handed from stage to stage is not: it is
    ///   on its way out.
    package init(root: String, limitBytes: Int? = nil) throws(StorageFailure) {
        folders = try FileTree(root: root, folderMode: 0o700, fileMode: 0o600)
        self.limitBytes = limitBytes
    }

    /// The folder.
    package var root: String { folders.root.path }

    /// The whole path of a file that `write` has named, for people.
    package func path(relative: String) throws(StorageFailure) -> String {
        _ = try Self.parts(of: relative)
        return "\(root)/\(relative)"
    }

    /// The session, the file's name and what that says, of a path relative to the root.
    static func parts(
        of relative: String
    ) throws(StorageFailure) -> (session: String, file: String, name: SpoolName) {
        let parts = relative.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, Identifier.isValid(String(parts[0])), let name = SpoolName(parts[1]) else {
            throw .invalidIdentifier(relative)
        }
        return (String(parts[0]), String(parts[1]), name)
    }

    /// Whether a path relative to the root is one of a file that a session may have here.
    package static func isPath(_ relative: String, of session: String) -> Bool {
        do throws(StorageFailure) { return try parts(of: relative).session == session } catch { return false }
    }

    /// Begins a file of recorded bytes that come piece by piece, under a lineage of its own.
    ///
    /// Room is taken first, by a file of that length, and counted then: of several that begin at once, in any
    /// process, whoever counts last has seen all of them, so that together they stay within the limit.
    /// - Parameters:
    ///   - byteCount: its length, or the most that it may have.
    ///   - leaving: bytes that must be left for others: what can't be processed yet must not take all room
    ///     from what it waits for.
    ///   - beyondLimit: whether it is begun even where there is no room.
    ///   - number: stands in the temporary name, for `begun`.
    package func begin(
        session: String, byteCount: Int, leaving: Int = 0, beyondLimit: Bool = false, for number: Int? = nil
    ) throws(StorageFailure) -> SpoolWriter {
        let writer = try SpoolWriter(folders, session: session, number: number)
        if let limitBytes, !beyondLimit {
            try writer.takeRoom(for: byteCount)
            try requireRoom(taken: byteCount, leaving: leaving, within: limitBytes)
        }
        return writer
    }

    /// Writes a whole recorded chunk, durably, under a lineage of its own.
    /// - Returns: the file's path relative to the root.
    package func write(
        _ bytes: UnsafeRawBufferPointer, session: String, sequence: Int
    ) throws(StorageFailure) -> String {
        let writer = try begin(session: session, byteCount: bytes.count)
        try writer.append(bytes)
        return try writer.commit(as: sequence)
    }

    /// Writes what a stage has made of a file, or what is to be known of it, durably, whatever the limit
    /// says. Each has a name of its own, and the lineage of its source.
    /// - Parameters:
    ///   - stage: letters and digits.
    ///   - source: the path of the file that it was made of.
    /// - Returns: the file's path relative to the root.
    package func write(
        _ bytes: UnsafeRawBufferPointer, by stage: String, of source: String, sequence: Int
    ) throws(StorageFailure) -> String {
        let (session, _, name) = try Self.parts(of: source)
        let made = try SpoolName.made(by: stage, of: name, as: sequence)
        try folders.writeDurably(in: ChunkPath.folder(session), bytes: bytes) {
            folder, temporary throws(StorageFailure) in
            try folder.rename(temporary, to: made)
        }
        return "\(session)/\(made)"
    }

    /// Gives recorded bytes that no event describes yet the name of another number, durably.
    /// - Returns: the new path.
    package func renumber(_ relative: String, to sequence: Int) throws(StorageFailure) -> String {
        let (session, file, name) = try Self.parts(of: relative)
        guard let lineage = name.lineage else { throw .invalidIdentifier(relative) }
        let other = try SpoolName.recorded(sequence, lineage)
        guard other != file else { return relative }
        let folder = try folders.folder(ChunkPath.folder(session), with: file)
        try folder.rename(file, to: other)
        try folder.synchronize()
        return "\(session)/\(other)"
    }

    /// Names of the files in a session's folder; empty when there is none.
    func names(session: String) throws(StorageFailure) -> [String] {
        try folders.names(in: ChunkPath.folder(session)).filter(\.isText).map(\.text)
    }

    /// Throws `StorageFailure.full` unless so many bytes may be written now.
    package func requireRoom(for bytes: Int) throws(StorageFailure) {
        guard let limitBytes else { return }
        let used = try usage().bytes
        guard used +| bytes <= limitBytes else {
            throw .full(path: root, limitBytes: limitBytes, usedBytes: used, neededBytes: bytes)
        }
    }

    /// Throws `StorageFailure.full` when there was no room for what an empty file has taken.
    private func requireRoom(
        taken bytes: Int, leaving rest: Int = 0, within limit: Int
    ) throws(StorageFailure) {
        let used = try usage().bytes
        guard used +| rest <= limit else {
            throw .full(
                path: root, limitBytes: limit, usedBytes: used -| bytes, neededBytes: bytes +| rest)
        }
    }

    /// Replaces the contents of `buffer` with a whole file.
    /// - Parameter expectedBytes: as recorded; a file of another length is refused with its name, the
    ///   expected and the found length.
    package func read(
        _ relative: String, expectedBytes: Int? = nil, into buffer: ScratchBuffer,
        maximumBytes: Int = Spool.defaultMaximumBytes
    ) throws(StorageFailure) {
        let (session, file, _) = try Self.parts(of: relative)
        try folders.folder(ChunkPath.folder(session), with: file).read(
            file, into: buffer, expectedBytes: expectedBytes, maximumBytes: maximumBytes)
    }

    /// Removes one file, for what nobody will take any more.
    /// - Returns: false when there was none.
    @discardableResult
    package func remove(_ relative: String) throws(StorageFailure) -> Bool {
        let (session, file, _) = try Self.parts(of: relative)
        return try folders.folder(ChunkPath.folder(session))?.remove(file) ?? false
    }

    /// Removes a file of the spool and all that was made of it or said of it, and nothing else: files of the
    /// same number that somebody else wrote stay. Of a file with an old name that one alone goes.
    /// - Parameters:
    ///   - relative: any file of a chunk, as an event names it.
    ///   - session: whose event that is; a file of another session is refused as `invalidIdentifier`.
    /// - Returns: how many there were.
    @discardableResult
    package func purge(_ relative: String, of session: String) throws(StorageFailure) -> Int {
        let (owner, _, name) = try Self.parts(of: relative)
        guard owner == session else { throw .invalidIdentifier(relative) }
        guard let lineage = name.lineage else { return try remove(relative) ? 1 : 0 }
        return try folders.removeFiles(in: ChunkPath.folder(session)) { other in
            SpoolName(other).map { $0.lineage == lineage && $0.sequence == name.sequence } ?? false
        }
    }

    /// Removes a session's folder with everything in it.
    /// - Returns: how many files there were.
    @discardableResult
    package func removeSession(_ session: String) throws(StorageFailure) -> Int {
        return try folders.removeFolder(ChunkPath.folder(session))
    }

    /// Sessions that have a folder.
    package func sessions() throws(StorageFailure) -> [String] {
        try folders.folders().filter(Identifier.isValid)
    }

    /// Counts files and bytes; notes are none.
    package func usage() throws(StorageFailure) -> SpoolUsage {
        var bytes = 0
        var files = 0
        for session in try folders.folders().filter(Identifier.isValid) {
            let found = try usage(of: session)
            bytes +|= found.bytes
            files += found.files
        }
        return SpoolUsage(bytes: bytes, files: files)
    }

    /// A name that vanished may have become another one meanwhile: then the folder is looked at again.
    private func usage(of session: String) throws(StorageFailure) -> SpoolUsage {
        var bytes = 0
        var files = 0
        for _ in 0..<Self.looks {
            (bytes, files) = (0, 0)
            var isWhole = true
            guard let folder = try folders.folder(ChunkPath.folder(session)) else { break }
            for name in try folder.names() where !SpoolNotes.isNote(name.text) {
                guard let status = try folder.status(name) else {
                    isWhole = false
                    continue
                }
                // What is no file of the spool's takes none of its room.
                guard status.kind == .regular else { continue }
                bytes +|= status.bytes
                files += 1
            }
            if isWhole { break }
        }
        return SpoolUsage(bytes: bytes, files: files)
    }

    /// Removes what crashed writes left behind in a session's folder: temporary names that no write has
    /// touched for `age` seconds.
    /// - Parameter before: called before one is removed, with its path and the number of the chunk that was
    ///   begun with one; what it throws keeps the file.
    package func sweepTemporaries(
        of session: String, olderThanSeconds age: Int,
        before: (_ relative: String, _ sequence: Int?) throws(StorageFailure) -> Void
    ) throws(StorageFailure) {
        _ = try folders.sweepTemporaries(in: ChunkPath.folder(session), olderThanSeconds: age) {
            name throws(StorageFailure) in
            try before("\(session)/\(name)", SpoolWriter.number(begunAs: name))
        }
    }
}
