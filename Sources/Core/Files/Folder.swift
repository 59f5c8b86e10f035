internal import Base
package import Glibc

/// A folder that is held open. What is done by it happens there, whatever has become of its path, and by
/// names in it alone: no symbolic link is followed, nothing but regular files is opened, no call waits for
/// somebody else. Any thread; every call tells the watcher of the calling thread, errors carry call and path.
package final class Folder: Sendable {
    /// Most names that are listed at once.
    package static let maximumNames = 1_000_000

    /// For errors and watchers.
    package let path: String
    private let descriptor: Int32

    private init(_ descriptor: Int32, _ path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    /// Opens the folder that a configuration names, where links are the administrator's own; nil when there
    /// is none.
    package static func open(_ path: String) throws(StorageFailure) -> Folder? {
        let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if descriptor >= 0 { return Folder(descriptor, path) }
        if errno == ENOENT { return nil }
        throw .file(FileFailure("open", path))
    }

    /// Opens such a folder; made, durably, with those above it where there is none.
    package static func make(_ path: String, mode: mode_t) throws(StorageFailure) -> Folder {
        try Files.makeFolders(path, mode: mode)
        guard let folder = try open(path) else { throw .missing(path: path) }
        return folder
    }

    private func full(_ name: FileName) -> String { "\(path)/\(name.text)" }
    /// The path of a name in it, for people.
    package func full(_ name: String) -> String { "\(path)/\(name)" }

    // MARK: Folders

    /// A folder in this one; nil when there is none.
    package func folder(_ name: FileName) throws(StorageFailure) -> Folder? {
        let found = name.withCString {
            openat(descriptor, $0, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        }
        if found >= 0 { return Folder(found, full(name)) }
        let failure = FileFailure("open", full(name))
        switch failure.code {
        case ENOENT: return nil
        case ENOTDIR, ELOOP:
            guard let kind = try status(name)?.kind else { return nil }
            throw .notAFolder(path: full(name), kind)
        default: throw .file(failure)
        }
    }

    /// A folder in this one; nil when there is none.
    package func folder(_ name: String) throws(StorageFailure) -> Folder? { try folder(FileName(name)) }

    /// A folder in this one, made where there is none. Its name is not durable yet when it was made.
    package func makeFolder(_ name: String, mode: mode_t) throws(StorageFailure) -> (
        folder: Folder, isNew: Bool
    ) {
        try Files.step("mkdir", full(name))
        let isNew = mkdirat(descriptor, name, mode) == 0
        if !isNew, errno != EEXIST { throw .file(FileFailure("mkdir", full(name))) }
        if isNew { Files.done("mkdir", full(name)) }
        guard let folder = try folder(name) else {
            throw .file(FileFailure("open", full(name), code: ENOENT))
        }
        return (folder, isNew)
    }

    /// Makes names that were made or removed here survive a power cut.
    package func synchronize() throws(StorageFailure) { try Files.synchronize(descriptor, path) }

    // MARK: Files

    /// A regular file; `missing` when there is none, `notAFile` for anything else.
    package func openForReading(_ name: String) throws(StorageFailure) -> OpenFile {
        try Files.step("open", full(name))
        // Looked at first: opening a device may do something, a socket can't be opened.
        guard let status = try status(name) else { throw .missing(path: full(name)) }
        guard status.kind == .regular else { throw .notAFile(path: full(name), status.kind) }
        let found = openat(
            descriptor, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
        guard found >= 0 else {
            let failure = FileFailure("open", full(name))
            switch failure.code {
            case ENOENT: throw .missing(path: full(name))
            case ELOOP: throw .notAFile(path: full(name), .symbolicLink)
            default: throw .file(failure)
            }
        }
        let file = OpenFile(descriptor: found, path: full(name))
        // Another one may have taken its place meanwhile.
        let kind = try file.status().kind
        guard kind == .regular else { throw .notAFile(path: full(name), kind) }
        return file
    }

    /// A new file; fails when the name exists.
    package func create(_ name: String, mode: mode_t) throws(StorageFailure) -> OpenFile {
        try Files.step("create", full(name))
        let made = openat(
            descriptor, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)
        guard made >= 0 else { throw .file(FileFailure("create", full(name))) }
        Files.done("create", full(name))
        return OpenFile(descriptor: made, path: full(name))
    }

    /// Replaces the contents of `buffer` with a whole regular file.
    /// - Parameters:
    ///   - expectedBytes: its length as it was recorded; a file of another length is not read.
    ///   - maximumBytes: of a longer file nothing is read.
    package func read(
        _ name: String, into buffer: ScratchBuffer, expectedBytes: Int?, maximumBytes: Int
    ) throws(StorageFailure) {
        buffer.removeAll()
        let file = try openForReading(name)
        let size = try file.status().bytes
        if let expectedBytes, expectedBytes != size {
            throw .wrongSize(path: file.path, expected: expectedBytes, found: size)
        }
        guard size <= maximumBytes else { throw .tooLarge(path: file.path, bytes: size, limit: maximumBytes) }
        buffer.reserve(size)
        let found = try file.read(into: buffer.base, count: size, at: 0)
        guard found == size else { throw .wrongSize(path: file.path, expected: size, found: found) }
        buffer.setCount(size)
    }

    /// Gives a file a second name, here or in another folder, unless that exists.
    /// - Returns: false when the name exists already, whatever has it.
    package func link(_ name: String, as other: String) throws(StorageFailure) -> Bool {
        try Files.step("link", full(other))
        if linkat(descriptor, name, descriptor, other, 0) == 0 {
            Files.done("link", full(other))
            return true
        }
        if errno == EEXIST { return false }
        throw .file(FileFailure("link", full(other)))
    }

    /// Gives a file another name, here or in another folder; a file that has it is replaced.
    package func rename(_ name: String, to other: String, in target: Folder? = nil) throws(StorageFailure) {
        let target = target ?? self
        let path = target.full(other)
        try Files.step("rename", path)
        guard renameat(descriptor, name, target.descriptor, other) == 0 else {
            throw .file(FileFailure("rename", path))
        }
        Files.done("rename", path, from: full(name))
    }

    // MARK: Names

    /// What has a name, itself and not what it may point to; nil when nothing has.
    package func status(_ name: FileName) throws(StorageFailure) -> stat? {
        var status = stat()
        let result = name.withCString { fstatat(descriptor, $0, &status, AT_SYMLINK_NOFOLLOW) }
        if result == 0 { return status }
        if errno == ENOENT { return nil }
        throw .file(FileFailure("lstat", full(name)))
    }

    /// What has a name, itself and not what it may point to; nil when nothing has.
    package func status(_ name: String) throws(StorageFailure) -> stat? { try status(FileName(name)) }

    /// Names in the folder, without `.` and `..`, sorted; some of them where there are more than a million.
    package func names() throws(StorageFailure) -> [FileName] {
        try entries().map(\.name).sorted()
    }

    /// Names of the folders in the folder, sorted, as far as they are text. Nothing else is looked at.
    package func folderNames() throws(StorageFailure) -> [String] {
        var found: [FileName] = []
        for entry in try entries() where entry.name.isText {
            switch entry.kind {
            case DT_DIR: found.append(entry.name)
            // A file system that does not say so in its listing.
            case DT_UNKNOWN: if try status(entry.name)?.kind == .folder { found.append(entry.name) }
            default: break
            }
        }
        return found.sorted().map(\.text)
    }

    private func entries() throws(StorageFailure) -> [(name: FileName, kind: Int)] {
        try Files.step("opendir", path)
        // A listing of its own: the place in it belongs to the open folder, which others may use.
        let own = openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard own >= 0 else { throw .file(FileFailure("opendir", path)) }
        guard let listing = fdopendir(own) else {
            close(own)
            throw .file(FileFailure("opendir", path))
        }
        defer { closedir(listing) }
        var found: [(name: FileName, kind: Int)] = []
        while found.count < Self.maximumNames {
            errno = 0
            guard let entry = readdir(listing) else {
                guard errno == 0 else { throw .file(FileFailure("readdir", path)) }
                break
            }
            let name = FileName(entry)
            if name.bytes != [0x2E], name.bytes != [0x2E, 0x2E] {
                found.append((name, DirectoryEntry(entry).kind))
            }
        }
        return found
    }

    // MARK: Removing

    /// Removes a name that stands for no folder: a link, and not what it points to.
    /// - Returns: false when there was none.
    @discardableResult
    package func remove(_ name: FileName) throws(StorageFailure) -> Bool {
        try Files.step("unlink", full(name))
        if name.withCString({ unlinkat(descriptor, $0, 0) }) == 0 {
            Files.done("unlink", full(name))
            return true
        }
        if errno == ENOENT { return false }
        throw .file(FileFailure("unlink", full(name)))
    }

    @discardableResult
    /// Removes a name that stands for no folder.
    package func remove(_ name: String) throws(StorageFailure) -> Bool { try remove(FileName(name)) }

    /// Removes an empty folder.
    /// - Returns: false when there was none.
    @discardableResult
    package func removeFolder(_ name: FileName) throws(StorageFailure) -> Bool {
        try Files.step("rmdir", full(name))
        if name.withCString({ unlinkat(descriptor, $0, AT_REMOVEDIR) }) == 0 {
            Files.done("rmdir", full(name))
            return true
        }
        if errno == ENOENT { return false }
        throw .file(FileFailure("rmdir", full(name)))
    }

    /// Removes everything in the folder, folders with all that is in them; nothing outside.
    /// - Parameter depth: how many folders may lie in each other.
    /// - Returns: how many names that stood for no folder there were.
    package func removeAll(depth: Int = 32) throws(StorageFailure) -> Int {
        var removed = 0
        // Somebody may be putting in more.
        for _ in 0..<1000 {
            let names = try names()
            if names.isEmpty { break }
            for name in names {
                guard try status(name)?.kind == .folder else {
                    if try remove(name) { removed += 1 }
                    continue
                }
                guard depth > 0 else {
                    throw .file(FileFailure("rmdir", full(name), code: ENAMETOOLONG))
                }
                if let inner = try folder(name) { removed += try inner.removeAll(depth: depth - 1) }
                try removeFolder(name)
            }
        }
        return removed
    }
}
