internal import Glibc

/// Sees what the stores do to files and folders, call by call, and may let a call fail: for simulations of
/// full disks, of processes that die half way, and of power cuts.
public protocol FileWatcher: Sendable {
    /// Called before `operation` (`open`, `create`, `write`, `fsync`, `link`, `rename`, `unlink`, `mkdir`,
    /// `rmdir`, `opendir`); what it throws is what the call fails with.
    func before(_ operation: String, _ path: String) throws(FileFailure)

    /// Called after an operation has changed something, or made something durable (`create`, `write`,
    /// `fsync`, `link`, `rename`, `unlink`, `mkdir`, `rmdir`).
    /// - Parameter source: the name that `rename` took away.
    func after(_ operation: String, _ path: String, from source: String?)
}

extension FileWatcher {
    /// For watchers that only let calls fail.
    public func after(_ operation: String, _ path: String, from source: String?) {}
}

/// The file calls of the calling thread.
public enum FileCalls {
    /// Who watches them; nobody unless a simulation runs on this thread.
    @TaskLocal public static var watcher: (any FileWatcher)?
}

/// An open file; closed once, when it goes out of scope.
struct OpenFile: ~Copyable {
    let descriptor: Int32
    let path: String

    deinit {
        close(descriptor)
    }

    /// Writes everything, as often as the system takes only a part.
    func writeAll(_ bytes: UnsafeRawBufferPointer) throws(StorageFailure) {
        var offset = 0
        while offset < bytes.count {
            try Files.step("write", path)
            var rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
            // Watched writes come in two parts, so that a simulation can end one half way.
            if offset == 0, FileCalls.watcher != nil {
                rest = .init(rebasing: rest.prefix((rest.count + 1) / 2))
            }
            let written = write(descriptor, rest.baseAddress, rest.count)
            if written < 0 {
                if errno == EINTR { continue }
                throw .file(FileFailure("write", path))
            }
            offset += written
            Files.done("write", path)
        }
    }

    /// Gives the file a length; what was not written takes no room on the disk.
    func setLength(_ bytes: Int) throws(StorageFailure) {
        guard ftruncate(descriptor, off_t(bytes)) == 0 else {
            throw .file(FileFailure("ftruncate", path))
        }
    }

    /// Reads up to `count` bytes at `position`; fewer only at the end of the file.
    func read(into target: UnsafeMutableRawPointer, count: Int, at position: Int) throws(StorageFailure)
        -> Int
    {
        var done = 0
        while done < count {
            let size = pread(descriptor, target + done, count - done, off_t(position + done))
            if size < 0 {
                if errno == EINTR { continue }
                throw .file(FileFailure("read", path))
            }
            if size == 0 { break }
            done += size
        }
        return done
    }

    func synchronize() throws(StorageFailure) {
        try Files.step("fsync", path)
        while fsync(descriptor) != 0 {
            guard errno == EINTR else { throw .file(FileFailure("fsync", path)) }
        }
        Files.done("fsync", path)
    }

    func status() throws(StorageFailure) -> stat {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .file(FileFailure("fstat", path)) }
        return status
    }
}

/// The system calls that the stores are made of; errors carry call and path.
enum Files {
    /// Tells the watcher of the calling thread, if there is one, what comes next.
    static func step(_ operation: String, _ path: String) throws(StorageFailure) {
        guard let watcher = FileCalls.watcher else { return }
        do { try watcher.before(operation, path) } catch { throw .file(error) }
    }

    /// Tells the watcher, if there is one, what took effect.
    static func done(_ operation: String, _ path: String, from source: String? = nil) {
        FileCalls.watcher?.after(operation, path, from: source)
    }

    static func openForReading(_ path: String) throws(StorageFailure) -> OpenFile {
        try step("open", path)
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else {
            throw errno == ENOENT ? .missing(path: path) : .file(FileFailure("open", path))
        }
        return OpenFile(descriptor: descriptor, path: path)
    }

    /// A new file; fails when the name exists.
    static func create(_ path: String, mode: mode_t) throws(StorageFailure) -> OpenFile {
        try step("create", path)
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw .file(FileFailure("create", path)) }
        done("create", path)
        return OpenFile(descriptor: descriptor, path: path)
    }

    /// Makes names that were made or removed in a folder survive a power cut.
    static func synchronizeFolder(_ path: String) throws(StorageFailure) {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .file(FileFailure("open", path)) }
        try OpenFile(descriptor: descriptor, path: path).synchronize()
    }

    /// - Returns: true when the folder was made, false when it was there.
    @discardableResult
    static func makeFolder(_ path: String, mode: mode_t) throws(StorageFailure) -> Bool {
        try step("mkdir", path)
        if mkdir(path, mode) == 0 {
            done("mkdir", path)
            return true
        }
        let code = errno
        var status = stat()
        if code == EEXIST, stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return false }
        throw .file(FileFailure("mkdir", path, code: code))
    }

    /// Makes a folder and the ones above it, durably.
    static func makeFolders(_ path: String, mode: mode_t) throws(StorageFailure) {
        var status = stat()
        if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR { return }
        var parent = path.hasPrefix("/") ? "/" : "."
        if let slash = path.lastIndex(of: "/"), slash > path.startIndex {
            parent = String(path[..<slash])
            try makeFolders(parent, mode: mode)
        }
        if try makeFolder(path, mode: mode) { try synchronizeFolder(parent) }
    }

    /// - Returns: true when the name was removed, false when there was none.
    @discardableResult
    static func remove(_ path: String) throws(StorageFailure) -> Bool {
        try step("unlink", path)
        if unlink(path) == 0 {
            done("unlink", path)
            return true
        }
        if errno == ENOENT { return false }
        throw .file(FileFailure("unlink", path))
    }

    /// - Returns: true when the folder was removed, false when there was none.
    @discardableResult
    static func removeFolder(_ path: String) throws(StorageFailure) -> Bool {
        try step("rmdir", path)
        if rmdir(path) == 0 {
            done("rmdir", path)
            return true
        }
        if errno == ENOENT { return false }
        throw .file(FileFailure("rmdir", path))
    }

    static func rename(_ from: String, to path: String) throws(StorageFailure) {
        try step("rename", path)
        guard Glibc.rename(from, path) == 0 else { throw .file(FileFailure("rename", path)) }
        done("rename", path, from: from)
    }

    /// Gives a file a second name unless that exists.
    /// - Returns: false when the name exists already.
    static func linkIfAbsent(_ from: String, to path: String) throws(StorageFailure) -> Bool {
        try step("link", path)
        if link(from, path) == 0 {
            done("link", path)
            return true
        }
        if errno == EEXIST { return false }
        throw .file(FileFailure("link", path))
    }

    /// Names in a folder, without `.` and `..`, sorted; nil when there is no such folder.
    static func names(in path: String) throws(StorageFailure) -> [String]? {
        try step("opendir", path)
        guard let folder = opendir(path) else {
            if errno == ENOENT { return nil }
            throw .file(FileFailure("opendir", path))
        }
        defer { closedir(folder) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(folder) else {
                guard errno == 0 else { throw .file(FileFailure("readdir", path)) }
                return names.sorted()
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { name in
                name.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
    }

    /// What `lstat` says of a name; nil when there is none.
    static func status(_ path: String) throws(StorageFailure) -> stat? {
        var status = stat()
        if lstat(path, &status) == 0 { return status }
        if errno == ENOENT { return nil }
        throw .file(FileFailure("lstat", path))
    }
}
