internal import Base
import Foundation
import Glibc
import Supervision
import Synchronization

/// The temporary folders of this process's test servers. Shared servers are never freed, so what is
/// left is ended and removed when the process exits; what a crashed process left behind is removed by
/// the next one.
final class TestFolders: Sendable {
    static let shared = TestFolders()

    private let owned = Lock<[String: ChildProcess?]>([:])
    private let numbers = Atomic<Int>(1)
    private static let prefix = "reel-test"

    private init() {
        Self.sweep()
        atexit { TestFolders.shared.removeAll() }
    }

    private static var base: String {
        getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    }

    /// A folder name that is not in use: `reel-test-<pid>-<number>-<kind>` in TMPDIR or /tmp.
    static func fresh(_ kind: String) -> String {
        let number = shared.numbers.wrappingAdd(1, ordering: .relaxed).oldValue
        return "\(base)/\(prefix)-\(getpid())-\(number)-\(kind)"
    }

    func add(_ folder: String) {
        owned.withLock { _ = $0.updateValue(nil, forKey: folder) }
    }

    func own(_ child: ChildProcess, folder: String) {
        owned.withLock { _ = $0.updateValue(child, forKey: folder) }
    }

    func remove(_ folder: String) {
        owned.withLock { _ = $0.removeValue(forKey: folder) }
        removeTree(folder)
    }

    private func removeAll() {
        let left = owned.withLock { owned in
            defer { owned = [:] }
            return owned
        }
        for (folder, child) in left {
            child?.send(SIGKILL)
            _ = child?.wait(milliseconds: 2_000)
            removeTree(folder)
        }
    }

    private static func sweep() {
        guard let entries = opendir(base) else { return }
        defer { closedir(entries) }
        var stale: [String] = []
        while let entry = readdir(entries) {
            let name = String(decoding: DirectoryEntry(entry).nameBytes, as: UTF8.self)
            let parts = name.split(separator: "-")
            guard name.hasPrefix("\(prefix)-"), parts.count == 5, let pid = Int32(parts[2]) else { continue }
            if kill(pid, 0) != 0 && errno == ESRCH { stale.append("\(base)/\(name)") }
        }
        for folder in stale { removeTree(folder) }
    }
}

/// Removes a folder and everything in it; no error when it was never made.
private func removeTree(_ path: String) {
    try? FileManager.default.removeItem(atPath: path)
}
