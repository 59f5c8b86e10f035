internal import Base
package import Glibc

/// What stores of files have in common: a root that is held open and never left, folders below it that are
/// made when they are needed, files that are whole and durable under their names, and temporary names that a
/// crash may leave behind.
///
/// A folder is given by the names that lead to it from the root; whoever calls has checked them. Any thread.
package struct FileTree: Sendable {
    /// What temporary names begin with.
    package static let temporaryPrefix = ".tmp-"

    /// The root.
    package let root: Folder
    /// The mode of folders that are made.
    package let folderMode: mode_t
    /// The mode of files that are made.
    package let fileMode: mode_t
    private let durable = DurableFolders()

    /// The tree below a root, which is made, durably, with those above it if need be.
    package init(root: String, folderMode: mode_t, fileMode: mode_t) throws(StorageFailure) {
        var trimmed = Substring(root)
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
        self.root = try Folder.make(String(trimmed), mode: folderMode)
        self.folderMode = folderMode
        self.fileMode = fileMode
    }

    /// A folder; nil when there is none.
    package func folder(_ path: [String]) throws(StorageFailure) -> Folder? {
        var found = root
        for name in path {
            guard let inner = try found.folder(name) else { return nil }
            found = inner
        }
        return found
    }

    /// A folder, which must be there.
    /// - Parameter name: the file that is wanted of it, for the error.
    package func folder(_ path: [String], with name: String) throws(StorageFailure) -> Folder {
        guard let folder = try folder(path) else { throw .missing(path: full(path + [name])) }
        return folder
    }

    /// The whole path of what these names lead to, for people.
    package func full(_ path: [String]) -> String { ([root.path] + path).joined(separator: "/") }

    /// A name that nobody else uses, for a file that is being written.
    package static func temporaryName() -> String { Identifier.random(prefix: temporaryPrefix, bytes: 12) }

    /// Writes a file under a temporary name in a folder, which is made if need be, synchronizes it and hands
    /// folder and name to `place`, which gives it its final one; then synchronizes the folder. The temporary
    /// name is removed if anything fails.
    package func writeDurably<R>(
        in path: [String], bytes: UnsafeRawBufferPointer,
        place: (_ folder: Folder, _ temporary: String) throws(StorageFailure) -> R
    ) throws(StorageFailure) -> R {
        let folder = try prepare(path)
        let temporary = Self.temporaryName()
        do {
            let file = try folder.create(temporary, mode: fileMode)
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

    /// Makes a folder with those above it, durably. One that is there already is synchronized once in this
    /// process: whoever made it may have died before, or may not have come to it yet.
    package func prepare(_ path: [String]) throws(StorageFailure) -> Folder {
        let isKnown = durable.contains(path)
        var folder = root
        for name in path {
            let (inner, isNew) = try folder.makeFolder(name, mode: folderMode)
            if isNew || !isKnown { try folder.synchronize() }
            folder = inner
        }
        if !isKnown { durable.insert(path) }
        return folder
    }

    /// Names in a folder; none when there is no such folder.
    package func names(in path: [String]) throws(StorageFailure) -> [FileName] {
        try folder(path)?.names() ?? []
    }

    /// Names of the folders in a folder, as far as they are text; none when there is no such folder.
    package func folders(in path: [String] = []) throws(StorageFailure) -> [String] {
        try folder(path)?.folderNames() ?? []
    }

    /// Removes every file of a folder for which `matches` holds, durably.
    /// - Returns: how many there were.
    package func removeFiles(
        in path: [String], where matches: (String) -> Bool
    ) throws(StorageFailure) -> Int {
        guard let folder = try folder(path) else { return 0 }
        var removed = 0
        for name in try folder.names() where name.isText && matches(name.text) {
            if try folder.remove(name) { removed += 1 }
        }
        if removed > 0 { try folder.synchronize() }
        return removed
    }

    /// Removes a folder with everything in it, durably. What stands in its place and is no folder is removed
    /// itself: nothing that it may lead to. The root stays.
    /// - Returns: how many files there were.
    package func removeFolder(_ path: [String]) throws(StorageFailure) -> Int {
        guard let name = path.last, let above = try folder(path.dropLast()) else { return 0 }
        var removed = 0
        do throws(StorageFailure) {
            guard let folder = try above.folder(name) else { return 0 }
            removed = try folder.removeAll()
            if removed > 0 { try folder.synchronize() }
            try above.removeFolder(FileName(name))
        } catch .notAFolder {
            if try above.remove(name) { removed = 1 }
        }
        try above.synchronize()
        return removed
    }

    /// Removes temporary files of one folder that no write has touched for `age` seconds.
    /// - Parameter before: called before one is removed, with its name; what it throws keeps the file.
    package func sweepTemporaries(
        in path: [String], olderThanSeconds age: Int,
        before: (String) throws(StorageFailure) -> Void = { _ in }
    ) throws(StorageFailure) -> Int {
        let limit = time(nil) - age
        var removed = 0
        // It may be gone by now, or be no folder any more.
        guard let folder = try? folder(path), let names = try? folder.names() else { return 0 }
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

/// Folders that are known to survive a power cut.
private final class DurableFolders: Sendable {
    /// Beyond this many all are forgotten, which costs one more synchronization each.
    private static let limit = 10_000
    private let paths = Lock<Set<[String]>>([])

    func contains(_ path: [String]) -> Bool { paths.withLock { $0.contains(path) } }

    func insert(_ path: [String]) {
        paths.withLock { paths in
            if paths.count >= Self.limit { paths.removeAll() }
            paths.insert(path)
        }
    }
}
