package import Glibc

/// Sees what the stores do to files and folders, call by call, and may let a call fail: for simulations of
/// full disks, of processes that die half way, and of power cuts.
package protocol FileWatcher: Sendable {
    /// Called before `operation` (`open`, `create`, `write`, `fsync`, `link`, `rename`, `unlink`, `mkdir`,
    /// `rmdir`, `opendir`); what it throws is what the call fails with.
    func before(_ operation: String, _ path: String) throws(FileFailure)

    /// Called after an operation has changed something, or made something durable (`create`, `write`,
    /// `fsync`, `link`, `rename`, `unlink`, `mkdir`, `rmdir`).
    /// - Parameter source: the name that `rename` took away.
    func after(_ operation: String, _ path: String, from source: String?)

    /// So many random bytes for a name, so that a simulation can be had again; nil for the machine's own.
    func randomBytes(_ count: Int) -> [UInt8]?
}

extension FileWatcher {
    /// For watchers that only let calls fail.
    package func after(_ operation: String, _ path: String, from source: String?) {}

    /// For watchers that leave names to the machine.
    package func randomBytes(_ count: Int) -> [UInt8]? { nil }
}

/// The file calls of the calling thread.
package enum FileCalls {
    /// Who watches them; nobody unless a simulation runs on this thread.
    @TaskLocal package static var watcher: (any FileWatcher)?
}

/// An open file; closed once, when it goes out of scope.
package struct OpenFile: ~Copyable {
    /// Closed with the value.
    package let descriptor: Int32
    /// For errors and watchers.
    package let path: String

    deinit {
        close(descriptor)
    }

    /// Writes everything, as often as the system takes only a part.
    package func writeAll(_ bytes: UnsafeRawBufferPointer) throws(StorageFailure) {
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
    package func setLength(_ bytes: Int) throws(StorageFailure) {
        guard ftruncate(descriptor, off_t(bytes)) == 0 else {
            throw .file(FileFailure("ftruncate", path))
        }
    }

    /// Reads up to `count` bytes at `position`; fewer only at the end of the file.
    package func read(into target: UnsafeMutableRawPointer, count: Int, at position: Int)
        throws(StorageFailure)
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

    /// The first `count` bytes; fewer only where the file has fewer.
    package func readBytes(_ count: Int) throws(StorageFailure) -> [UInt8] {
        var failure: StorageFailure?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { target, filled in
            guard let base = target.baseAddress else { return }
            do throws(StorageFailure) { filled = try read(into: base, count: count, at: 0) } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Reads what comes next, up to `count` bytes, from anything that can be read; 0 at the end.
    package func readOn(into target: UnsafeMutableRawPointer, count: Int) throws(StorageFailure) -> Int {
        while true {
            let size = Glibc.read(descriptor, target, count)
            if size >= 0 { return size }
            guard errno == EINTR else { throw .file(FileFailure("read", path)) }
        }
    }

    /// Makes what was written survive a power cut.
    package func synchronize() throws(StorageFailure) { try Files.synchronize(descriptor, path) }

    /// Kind, length, owner and times, of the file that is open.
    package func status() throws(StorageFailure) -> stat {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .file(FileFailure("fstat", path)) }
        return status
    }
}

/// The system calls by path: for folders that a configuration names and files that a person does. Within the
/// stores' own folders `Folder` is used.
package enum Files {
    /// Tells the watcher of the calling thread, if there is one, what comes next.
    package static func step(_ operation: String, _ path: String) throws(StorageFailure) {
        guard let watcher = FileCalls.watcher else { return }
        do { try watcher.before(operation, path) } catch { throw .file(error) }
    }

    /// Tells the watcher, if there is one, what took effect.
    package static func done(_ operation: String, _ path: String, from source: String? = nil) {
        FileCalls.watcher?.after(operation, path, from: source)
    }

    /// Makes a file or a folder survive a power cut.
    package static func synchronize(_ descriptor: Int32, _ path: String) throws(StorageFailure) {
        try step("fsync", path)
        while fsync(descriptor) != 0 {
            guard errno == EINTR else { throw .file(FileFailure("fsync", path)) }
        }
        done("fsync", path)
    }

    /// A file that a person has named, whatever it is: links are followed, pipes are waited for.
    package static func openGiven(_ path: String) throws(StorageFailure) -> OpenFile {
        try step("open", path)
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw errno == ENOENT ? .missing(path: path) : .file(FileFailure("open", path))
        }
        return OpenFile(descriptor: descriptor, path: path)
    }

    /// Makes names that were made or removed in a folder survive a power cut.
    private static func synchronizeFolder(_ path: String) throws(StorageFailure) {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .file(FileFailure("open", path)) }
        try OpenFile(descriptor: descriptor, path: path).synchronize()
    }

    /// - Returns: true when the folder was made, false when it was there.
    private static func makeFolder(_ path: String, mode: mode_t) throws(StorageFailure) -> Bool {
        try step("mkdir", path)
        if mkdir(path, mode) == 0 {
            done("mkdir", path)
            return true
        }
        let code = errno
        var status = stat()
        if code == EEXIST, stat(path, &status) == 0, status.kind == .folder { return false }
        throw .file(FileFailure("mkdir", path, code: code))
    }

    /// Makes a folder and the ones above it, durably.
    package static func makeFolders(_ path: String, mode: mode_t) throws(StorageFailure) {
        var status = stat()
        if stat(path, &status) == 0, status.kind == .folder { return }
        var parent = path.hasPrefix("/") ? "/" : "."
        if let slash = path.lastIndex(of: "/"), slash > path.startIndex {
            parent = String(path[..<slash])
            try makeFolders(parent, mode: mode)
        }
        if try makeFolder(path, mode: mode) { try synchronizeFolder(parent) }
    }
}
