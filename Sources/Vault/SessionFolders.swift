internal import Glibc
internal import Synchronization

/// What chunk store and spool have in common: a root with one folder for each session, files named by
/// sequence number, and temporary names that a crash may leave behind.
struct SessionFolders: Sendable {
    static let temporaryPrefix = ".tmp-"
    static let maximumSequence = 99_999_999

    let root: String
    let folderMode: mode_t
    let fileMode: mode_t
    private let durable = DurableFolders()

    init(root: String, folderMode: mode_t, fileMode: mode_t) throws(StorageFailure) {
        var trimmed = Substring(root)
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
        self.root = String(trimmed)
        self.folderMode = folderMode
        self.fileMode = fileMode
        try Files.makeFolders(self.root, mode: folderMode)
    }

    func folder(_ session: String) throws(StorageFailure) -> String {
        guard Identifier.isValid(session) else { throw .invalidIdentifier(session) }
        return "\(root)/\(session)"
    }

    /// Eight digits, padded with zeros.
    static func digits(_ sequence: Int) throws(StorageFailure) -> String {
        guard (1...maximumSequence).contains(sequence) else { throw .invalidSequence(sequence) }
        let text = String(sequence)
        return String(repeating: "0", count: 8 - text.count) + text
    }

    /// The number that a name begins with; nil for any other name.
    static func sequence(in name: some StringProtocol) -> Int? {
        let digits = name.utf8.prefix(8)
        guard digits.count == 8, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        let value = digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
        return value >= 1 ? value : nil
    }

    /// Writes a file under a temporary name in the session's folder, synchronizes it and hands the name to
    /// `place`, which gives it its final one; then synchronizes the folder. The temporary name is removed if
    /// anything fails. `prepare` gets the file before anything is in it.
    func writeDurably<R>(
        session: String, bytes: UnsafeRawBufferPointer,
        prepare: (_ file: borrowing OpenFile) throws(StorageFailure) -> Void = { _ in },
        place: (_ temporary: String) throws(StorageFailure) -> R
    ) throws(StorageFailure) -> R {
        let folder = try self.prepare(session)
        let temporary = folder + "/" + Identifier.random(prefix: Self.temporaryPrefix, bytes: 12)
        do {
            let file = try Files.create(temporary, mode: fileMode)
            try prepare(file)
            try file.writeAll(bytes)
            try file.synchronize()
            let result = try place(temporary)
            try Files.synchronizeFolder(folder)
            return result
        } catch {
            // The first failure is the one to report; a name left over is swept later.
            _ = try? Files.remove(temporary)
            throw error
        }
    }

    /// Makes the session's folder, durably. One that is there already is synchronized once in this process:
    /// whoever made it may have died before, or may not have come to it yet.
    func prepare(_ session: String) throws(StorageFailure) -> String {
        let folder = try folder(session)
        let isNew = try Files.makeFolder(folder, mode: folderMode)
        if isNew || !durable.contains(session) {
            try Files.synchronizeFolder(root)
            durable.insert(session)
        }
        return folder
    }

    /// Sessions that have a folder.
    func sessions() throws(StorageFailure) -> [String] {
        var found: [String] = []
        for name in try Files.names(in: root) ?? [] where Identifier.isValid(name) {
            if let status = try Files.status("\(root)/\(name)"), status.st_mode & S_IFMT == S_IFDIR {
                found.append(name)
            }
        }
        return found
    }

    /// Removes every file of a session for which `matches` holds, durably.
    /// - Returns: how many there were.
    func removeFiles(
        session: String, where matches: (String) -> Bool
    ) throws(StorageFailure) -> Int {
        let folder = try folder(session)
        var removed = 0
        for name in try Files.names(in: folder) ?? [] where matches(name) {
            if try Files.remove("\(folder)/\(name)") { removed += 1 }
        }
        if removed > 0 { try Files.synchronizeFolder(folder) }
        return removed
    }

    /// Removes a session's folder with everything in it, durably.
    /// - Returns: how many files there were.
    func removeSession(_ session: String) throws(StorageFailure) -> Int {
        let folder = try folder(session)
        let removed = try removeFiles(session: session) { _ in true }
        if try Files.removeFolder(folder) { try Files.synchronizeFolder(root) }
        return removed
    }

    /// Removes temporary names that no write has touched for `age` seconds.
    func sweepTemporaries(olderThanSeconds age: Int) throws(StorageFailure) -> Int {
        let limit = time(nil) - age
        var removed = 0
        for session in try sessions() {
            for name in try Files.names(in: "\(root)/\(session)") ?? []
            where name.hasPrefix(Self.temporaryPrefix) {
                let path = "\(root)/\(session)/\(name)"
                guard let status = try Files.status(path), status.st_mtim.tv_sec <= limit else { continue }
                if try Files.remove(path) { removed += 1 }
            }
        }
        return removed
    }

    /// Replaces the contents of `buffer` with a whole file.
    static func read(
        _ path: String, into buffer: ScratchBuffer, expectedBytes: Int?, maximumBytes: Int
    ) throws(StorageFailure) {
        buffer.removeAll()
        let file = try Files.openForReading(path)
        let size = Int(try file.status().st_size)
        if let expectedBytes, expectedBytes != size {
            throw .wrongSize(path: path, expected: expectedBytes, found: size)
        }
        guard size <= maximumBytes else { throw .tooLarge(path: path, bytes: size, limit: maximumBytes) }
        buffer.reserve(size)
        let found = try file.read(into: buffer.base, count: size, at: 0)
        guard found == size else { throw .wrongSize(path: path, expected: size, found: found) }
        buffer.setCount(size)
    }
}

/// Sessions whose folder is known to survive a power cut.
private final class DurableFolders: Sendable {
    /// Beyond this many all are forgotten, which costs one more synchronization each.
    private static let limit = 10_000
    private let sessions = Mutex<Set<String>>([])

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
