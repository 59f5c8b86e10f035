internal import Base
import Glibc

/// A server whose supervisor was killed and which does not end by itself, though it is asked to when its
/// supervisor goes: one that is frozen, or refuses to end because it cannot save. It holds its folder, and
/// nobody else ever ends it.
enum LeftServer {
    /// Kills the process that holds a lock, where no supervisor has it any more: its parent has not the file
    /// of the lock open, as a supervisor has. What the machine's first process has open, which takes over
    /// whom others leave, cannot always be read.
    /// - Returns: whether it was one.
    static func end(_ pid: Int32, holding lock: String) -> Bool {
        // Of another namespace's processes the number says nothing: what it names here has to have the file.
        guard pid > 1, isOpen(lock, in: pid) == true, let parent = parent(of: pid) else { return false }
        guard isOpen(lock, in: parent) ?? (parent != 1) == false else { return false }
        return kill(pid, SIGKILL) == 0
    }

    private static func parent(of pid: Int32) -> Int32? {
        // The name stands in parentheses, and may have any character in it.
        let text = endOfFile("/proc/\(pid)/stat", limit: 4096)
        guard let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        return fields.count > 1 ? Int32(fields[1]) : nil
    }

    /// Whether a process has a file open; nil where it cannot be told.
    private static func isOpen(_ path: String, in pid: Int32) -> Bool? {
        var wanted = stat()
        let folder = "/proc/\(pid)/fd"
        guard stat(path, &wanted) == 0, let entries = opendir(folder) else { return nil }
        defer { closedir(entries) }
        while let entry = readdir(entries) {
            let name = String(decoding: DirectoryEntry(entry).nameBytes, as: UTF8.self)
            var found = stat()
            guard name.first?.isNumber == true, stat("\(folder)/\(name)", &found) == 0 else { continue }
            if found.st_dev == wanted.st_dev, found.st_ino == wanted.st_ino { return true }
        }
        return false
    }
}
