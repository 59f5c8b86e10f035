import CPosix
import Glibc

/// Why a folder could not be locked.
package enum FolderLockFailure: Error, Equatable, CustomStringConvertible {
    /// Somebody holds it: `pid` is what the holder wrote into `path`, when it is readable.
    case held(path: String, pid: Int32?)
    /// The wait was ended by a stop signal.
    case stopped(path: String)
    /// The lock file can't be made or locked.
    case system(SystemFailure)

    /// What happened and to what.
    package var description: String {
        switch self {
        case .held(let path, let pid?): "\(path) is locked by process \(pid)"
        case .held(let path, nil): "\(path) is locked by another process"
        case .stopped(let path): "asked to stop while waiting for \(path)"
        case .system(let failure): failure.description
        }
    }
}

/// Sole use of a folder, by `flock` on a file in it. The kernel lets go when the last process that has
/// the descriptor is gone, so a lock can't be left behind; the pid inside is for messages only.
///
/// When `descriptor` is inherited by a child, the lock lives as long as the child: a server keeps its
/// data folder locked even when its supervisor was killed.
package final class FolderLock: Sendable {
    /// The locked file.
    package let path: String
    /// The open lock file, for `ChildProcess.Command.inherited`. It belongs to this object.
    package let descriptor: Int32

    /// Locks `folder` by the file `name` in it, both made when missing. Waits up to `waitMilliseconds`
    /// for another holder to end; call on a thread of your own unless that is 0.
    package init(
        folder: String, name: String = "lock", waitMilliseconds: Int = 0, stop: StopSignal? = nil
    ) throws(FolderLockFailure) {
        let path = "\(folder)/\(name)"
        do throws(SystemFailure) { try makeFolder(folder) } catch { throw .system(error) }
        let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw .system(SystemFailure("open lock file", path)) }
        if let failure = Self.take(file, path, waitMilliseconds, stop) {
            close(file)
            throw failure
        }
        self.path = path
        descriptor = file
        note(pid: getpid())
    }

    // The descriptor is closed, not unlocked: LOCK_UN would also take the lock from a child that has it.
    deinit { close(descriptor) }

    /// Writes into the file which process holds the lock, for messages.
    package func note(pid: Int32) {
        let text = Array("\(pid)\n".utf8)
        if ftruncate(descriptor, 0) == 0 { _ = pwrite(descriptor, text, text.count, 0) }
    }

    private static func take(
        _ file: Int32, _ path: String, _ limit: Int, _ stop: StopSignal?
    ) -> FolderLockFailure? {
        let deadline = monotonicMilliseconds() + limit
        while flock(file, LOCK_EX | LOCK_NB) != 0 {
            if errno == EINTR { continue }
            if errno != EWOULDBLOCK { return .system(SystemFailure("lock", path)) }
            let left = deadline - monotonicMilliseconds()
            if left <= 0 { return .held(path: path, pid: holder(path)) }
            // flock has no time limit of its own, so ask again; 20 ms is nothing beside a server's end.
            if let stop {
                if stop.wait(milliseconds: min(left, 20)) { return .stopped(path: path) }
            } else {
                usleep(useconds_t(min(left, 20)) * 1000)
            }
        }
        return nil
    }

    private static func holder(_ path: String) -> Int32? {
        Int32(endOfFile(path, limit: 16).split(separator: "\n").first.map(String.init) ?? "")
    }
}
