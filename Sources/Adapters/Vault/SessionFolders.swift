internal import Base
internal import Glibc

/// What chunk store and spool have in common: a root with one folder for each session, files named by
/// sequence number, and temporary names that a crash may leave behind.
struct SessionFolders: Sendable {
    static let temporaryPrefix = ".tmp-"
    static let maximumSequence = 99_999_999

    let root: Folder
    let folderMode: mode_t
    let fileMode: mode_t
    private let durable = DurableFolders()

    init(root: String, folderMode: mode_t, fileMode: mode_t) throws(StorageFailure) {
        var trimmed = Substring(root)
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
        self.root = try Folder.make(String(trimmed), mode: folderMode)
        self.folderMode = folderMode
        self.fileMode = fileMode
    }

    /// A session's folder; nil when there is none.
    func folder(_ session: String) throws(StorageFailure) -> Folder? {
        guard Identifier.isValid(session) else { throw .invalidIdentifier(session) }
        return try root.folder(session)
    }

    /// A session's folder, which must be there.
    /// - Parameter name: the file that is wanted of it, for the error.
    func folder(_ session: String, with name: String) throws(StorageFailure) -> Folder {
        guard let folder = try folder(session) else {
            throw .missing(path: "\(root.path)/\(session)/\(name)")
        }
        return folder
    }

    /// Eight digits, padded with zeros.
    static func digits(_ sequence: Int) throws(StorageFailure) -> String {
        guard (1...maximumSequence).contains(sequence) else { throw .invalidSequence(sequence) }
        let text = String(sequence)
        return String(repeating: "0", count: 8 - text.count) + text
    }

    /// The number that a name begins with; nil for any other name.
    static func sequence(in name: some StringProtocol) -> Int? { sequence(in: [UInt8](name.utf8)) }

    /// The number that a name begins with; nil for any other name.
    static func sequence(in name: [UInt8]) -> Int? {
        let digits = name.prefix(8)
        guard digits.count == 8, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        let value = digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
        return value >= 1 ? value : nil
    }

    /// Writes a file under a temporary name in the session's folder, synchronizes it and hands folder and
    /// name to `place`, which gives it its final one; then synchronizes the folder. The temporary name is
    /// removed if anything fails. `prepare` gets the file before anything is in it.
    func writeDurably<R>(
        session: String, bytes: UnsafeRawBufferPointer,
        prepare: (_ file: borrowing OpenFile) throws(StorageFailure) -> Void = { _ in },
        place: (_ folder: Folder, _ temporary: String) throws(StorageFailure) -> R
    ) throws(StorageFailure) -> R {
        let folder = try self.prepare(session)
        let temporary = Self.temporaryName()
        do {
            let file = try folder.create(temporary, mode: fileMode)
            try prepare(file)
            try file.writeAll(bytes)
            try file.synchronize()
            let result = try place(folder, temporary)
            try folder.synchronize()
            return result
        } catch {
            // The first failure is the one to report; a name left over is swept later.
            _ = try? folder.remove(temporary)
            throw error
        }
    }

    /// A name that nobody else uses, for a file that is being written.
    static func temporaryName() -> String { Identifier.random(prefix: temporaryPrefix, bytes: 12) }

    /// Makes the session's folder, durably. One that is there already is synchronized once in this process:
    /// whoever made it may have died before, or may not have come to it yet.
    func prepare(_ session: String) throws(StorageFailure) -> Folder {
        guard Identifier.isValid(session) else { throw .invalidIdentifier(session) }
        let (folder, isNew) = try root.makeFolder(session, mode: folderMode)
        if isNew || !durable.contains(session) {
            try root.synchronize()
            durable.insert(session)
        }
        return folder
    }

    /// Sessions that have a folder.
    func sessions() throws(StorageFailure) -> [String] {
        var found: [String] = []
        for name in try root.names() where name.isText && Identifier.isValid(name.text) {
            if try root.status(name)?.kind == .folder { found.append(name.text) }
        }
        return found
    }

    /// Names in a session's folder; none when there is no such folder.
    func names(_ session: String) throws(StorageFailure) -> [FileName] {
        try folder(session)?.names() ?? []
    }

    /// Removes every file of a session for which `matches` holds, durably.
    /// - Returns: how many there were.
    func removeFiles(
        session: String, where matches: (String) -> Bool
    ) throws(StorageFailure) -> Int {
        guard let folder = try folder(session) else { return 0 }
        var removed = 0
        for name in try folder.names() where name.isText && matches(name.text) {
            if try folder.remove(name) { removed += 1 }
        }
        if removed > 0 { try folder.synchronize() }
        return removed
    }

    /// Removes a session's folder with everything in it, durably. What stands in its place and is no folder
    /// is removed itself: nothing that it may lead to.
    /// - Returns: how many files there were.
    func removeSession(_ session: String) throws(StorageFailure) -> Int {
        guard Identifier.isValid(session) else { throw .invalidIdentifier(session) }
        var removed = 0
        do throws(StorageFailure) {
            guard let folder = try root.folder(session) else { return 0 }
            removed = try folder.removeAll()
            if removed > 0 { try folder.synchronize() }
            try root.removeFolder(FileName(session))
        } catch .notAFolder {
            if try root.remove(session) { removed = 1 }
        }
        try root.synchronize()
        return removed
    }

    /// Removes temporary files that no write has touched for `age` seconds. A session's folder that can't be
    /// swept keeps no other from it.
    func sweepTemporaries(olderThanSeconds age: Int) throws(StorageFailure) -> Int {
        var removed = 0
        for session in try sessions() { removed += try sweepTemporaries(of: session, olderThanSeconds: age) }
        return removed
    }

    /// Removes those of one session.
    /// - Parameter before: called before one is removed, with its name; what it throws keeps the file.
    func sweepTemporaries(
        of session: String, olderThanSeconds age: Int,
        before: (String) throws(StorageFailure) -> Void = { _ in }
    ) throws(StorageFailure) -> Int {
        let limit = time(nil) - age
        var removed = 0
        // It may be gone by now, or be no folder any more.
        guard let folder = try? folder(session), let names = try? folder.names() else { return 0 }
        for name in names where name.text.hasPrefix(Self.temporaryPrefix) {
            guard let status = try folder.status(name), status.kind == .regular,
                status.st_mtim.tv_sec <= limit
            else { continue }
            try before(name.text)
            if try folder.remove(name) { removed += 1 }
        }
        return removed
    }
}

/// Sessions whose folder is known to survive a power cut.
private final class DurableFolders: Sendable {
    /// Beyond this many all are forgotten, which costs one more synchronization each.
    private static let limit = 10_000
    private let sessions = Lock<Set<String>>([])

    func contains(_ session: String) -> Bool {
        sessions.withLock { $0.contains(session) }
    }

    func insert(_ session: String) {
        sessions.withLock { sessions in
            if sessions.count >= Self.limit { sessions.removeAll() }
            sessions.insert(session)
        }
    }
}
