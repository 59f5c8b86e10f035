internal import Arithmetic
internal import Glibc

/// What a file in the spool holds.
public enum SpoolKind: Hashable, Sendable {
    /// A chunk as it was recorded.
    case raw
    /// What the named stage hands to the next one.
    case handover(stage: String)
}

/// How much lies in the spool.
public struct SpoolUsage: Hashable, Sendable {
    /// Sum of the files' lengths.
    public let bytes: Int
    /// Number of files, temporary ones included.
    public let files: Int
}

/// Chunks on their way: `<root>/<session_id>/<sequence, eight digits>.raw` as recorded, and
/// `….<stage>-<random hex>` between stages that run in different workers.
///
/// What `write` has returned for is durable. May be shared by threads and processes. Calls block on the disk:
/// make them on a thread of its own.
public final class Spool: Sendable {
    /// Largest file that is read unless the caller says otherwise: 1 GiB and some.
    public static let defaultMaximumBytes = (1 << 30) + 8192
    /// How often a folder is looked at that changes all the time.
    private static let looks = 5

    private let folders: SessionFolders
    /// What may lie here, whoever wrote it; nil when nobody has said.
    public let limitBytes: Int?

    /// The spool in a folder, which is made with those above it if need be.
    /// - Parameter limitBytes: a quota over all that lies here, whoever wrote it: recorded chunks that would
    ///   go beyond are refused with `StorageFailure.full`. What is handed from stage to stage is not: it is
    ///   on its way out.
    public init(root: String, limitBytes: Int? = nil) throws(StorageFailure) {
        folders = try SessionFolders(root: root, folderMode: 0o700, fileMode: 0o600)
        self.limitBytes = limitBytes
    }

    /// The folder.
    public var root: String { folders.root.path }

    /// The whole path of a file that `write` has named, for people.
    public func path(relative: String) throws(StorageFailure) -> String {
        _ = try Self.parts(of: relative)
        return "\(root)/\(relative)"
    }

    /// Session and name of a file that `write` has named.
    private static func parts(
        of relative: String
    ) throws(StorageFailure) -> (session: String, name: String) {
        let parts = relative.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, Identifier.isValid(String(parts[0])), Self.isFileName(parts[1]) else {
            throw .invalidIdentifier(relative)
        }
        return (String(parts[0]), String(parts[1]))
    }

    /// Writes a file, durably. A raw chunk replaces one of the same number: it is what a recorder left that
    /// died before it could tell the log. Each handover gets a name of its own.
    ///
    /// Room is taken first, by a file of that length, and counted then: of several that write at once, in any
    /// process, whoever counts last has seen all of them, so that together they stay within the limit.
    /// - Parameter beyondLimit: whether it is written even where there is no room.
    /// - Returns: the file's path relative to the root.
    public func write(
        _ bytes: UnsafeRawBufferPointer, session: String, sequence: Int, kind: SpoolKind,
        beyondLimit: Bool = false
    ) throws(StorageFailure) -> String {
        let relative = try Self.relativePath(session: session, sequence: sequence, kind: kind)
        let final = try Self.parts(of: relative).name
        let limit = kind == .raw && !beyondLimit ? limitBytes : nil
        try folders.writeDurably(session: session, bytes: bytes) { file throws(StorageFailure) in
            guard let limit else { return }
            try file.setLength(bytes.count)
            try requireRoom(taken: bytes.count, within: limit)
        } place: { folder, temporary throws(StorageFailure) in
            try folder.rename(temporary, to: final)
        }
        return relative
    }

    /// Begins a file that comes piece by piece; it gets a name of its own, as a handover of `stage` does. It
    /// is recorded by whoever sends it, and needs room as a raw chunk does.
    /// - Parameters:
    ///   - byteCount: its length, or the most that it may have.
    ///   - leaving: bytes that must be left for others: what can't be processed yet must not take all room
    ///     from what it waits for.
    public func begin(
        session: String, sequence: Int, stage: String, byteCount: Int, leaving: Int = 0
    ) throws(StorageFailure) -> SpoolUpload {
        let relative = try Self.relativePath(
            session: session, sequence: sequence, kind: .handover(stage: stage))
        let upload = try SpoolUpload(
            folders, session: session, relative: relative, final: try Self.parts(of: relative).name)
        if let limitBytes {
            try upload.takeRoom(for: byteCount)
            try requireRoom(taken: byteCount, leaving: leaving, within: limitBytes)
        }
        return upload
    }

    /// Names of the files in a session's folder; empty when there is none.
    func names(session: String) throws(StorageFailure) -> [String] {
        try folders.names(session).filter(\.isText).map(\.text)
    }

    /// Throws `StorageFailure.full` unless so many bytes may be written now.
    public func requireRoom(for bytes: Int) throws(StorageFailure) {
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
    public func read(
        _ relative: String, expectedBytes: Int? = nil, into buffer: ScratchBuffer,
        maximumBytes: Int = Spool.defaultMaximumBytes
    ) throws(StorageFailure) {
        let (session, name) = try Self.parts(of: relative)
        try folders.folder(session, with: name).read(
            name, into: buffer, expectedBytes: expectedBytes, maximumBytes: maximumBytes)
    }

    /// The relative path of a recorded chunk.
    public static func rawPath(session: String, sequence: Int) throws(StorageFailure) -> String {
        try relativePath(session: session, sequence: sequence, kind: .raw)
    }

    /// Numbers of the recorded chunks that lie in a session's folder, in order.
    public func rawSequences(session: String) throws(StorageFailure) -> [Int] {
        try names(session: session)
            .filter { $0.utf8.count == 12 && $0.hasSuffix(".raw") }
            .compactMap { SessionFolders.sequence(in: $0) }
    }

    /// Removes one file; for a handover that has been taken.
    /// - Returns: false when there was none.
    @discardableResult
    public func remove(_ relative: String) throws(StorageFailure) -> Bool {
        let (session, name) = try Self.parts(of: relative)
        return try folders.folder(session)?.remove(name) ?? false
    }

    /// Removes every file of a chunk, raw and handed over; nothing happens when there is none.
    /// - Returns: how many there were.
    @discardableResult
    public func purge(session: String, sequence: Int) throws(StorageFailure) -> Int {
        let prefix = try SessionFolders.digits(sequence) + "."
        return try folders.removeFiles(session: session) { $0.hasPrefix(prefix) }
    }

    /// Removes a session's folder with everything in it.
    /// - Returns: how many files there were.
    @discardableResult
    public func removeSession(_ session: String) throws(StorageFailure) -> Int {
        return try folders.removeSession(session)
    }

    /// Sessions that have a folder.
    public func sessions() throws(StorageFailure) -> [String] {
        try folders.sessions()
    }

    /// Counts files and bytes.
    public func usage() throws(StorageFailure) -> SpoolUsage {
        var bytes = 0
        var files = 0
        for session in try folders.sessions() {
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
            guard let folder = try folders.folder(session) else { break }
            for name in try folder.names() {
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

    /// Removes what crashed writes left behind: temporary names that no write has touched for `age` seconds.
    /// - Returns: how many there were.
    @discardableResult
    public func sweepTemporaries(olderThanSeconds age: Int) throws(StorageFailure) -> Int {
        try folders.sweepTemporaries(olderThanSeconds: age)
    }

    private static func relativePath(
        session: String, sequence: Int, kind: SpoolKind
    ) throws(StorageFailure) -> String {
        guard Identifier.isValid(session) else { throw .invalidIdentifier(session) }
        let start = "\(session)/\(try SessionFolders.digits(sequence))"
        switch kind {
        case .raw: return start + ".raw"
        case .handover(let stage):
            guard Identifier.isValid(stage) else { throw .invalidIdentifier(stage) }
            return Identifier.random(prefix: "\(start).\(stage)-", bytes: 8)
        }
    }

    /// Eight digits, a dot, and characters of an id.
    private static func isFileName(_ name: Substring) -> Bool {
        guard SessionFolders.sequence(in: name) != nil else { return false }
        let rest = name.utf8.dropFirst(8)
        return rest.first == UInt8(ascii: ".") && rest.count > 1 && rest.count <= 150
            && rest.dropFirst().allSatisfy(Identifier.isAllowed)
    }
}
