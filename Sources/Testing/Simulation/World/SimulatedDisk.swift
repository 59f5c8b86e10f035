internal import Foundation
internal import Glibc

/// Knows what of some folders would survive a power cut, and lets the rest be lost: contents that were not
/// synchronized, and changes of names in a folder that was not synchronized after them.
///
/// The files are real; what their names and contents were before each change that is not durable is kept
/// beside them. Sendable because whoever touches it has the turn.
final class SimulatedDisk: @unchecked Sendable {
    private enum Change {
        case madeName(String)
        /// A name was taken away; the file is kept under the second one.
        case removedName(String, kept: String)
        /// A file got another name; the one that had it before is kept under the last one.
        case renamed(from: String, to: String, kept: String?)
        case madeFolder(String)
        case removedFolder(String)

        var path: String {
            switch self {
            case .madeName(let path), .removedName(let path, _), .renamed(_, let path, _),
                .madeFolder(let path), .removedFolder(let path):
                path
            }
        }
    }

    private let keeps: PowerPromises
    private let limbo: String
    private var kept = 0
    /// What a power cut may undo, in order, with the folder that it happened in.
    private var changes: [(folder: String, change: Change)] = []
    /// Files whose contents may be lost, by their number on the disk.
    private var unsynchronized: Set<UInt> = []
    private let roots: [String]

    /// A disk of these folders; `limbo` is an empty one on the same file system.
    init(_ roots: [String], limbo: String, keeps: PowerPromises) throws {
        self.roots = roots
        self.limbo = limbo
        self.keeps = keeps
        try FileManager.default.createDirectory(atPath: limbo, withIntermediateDirectories: true)
    }

    /// Where the file is kept that the next call takes the name of.
    private var next: String?

    /// A call is about to happen that may take a file's name away, or give it to another one.
    func before(_ operation: String, _ path: String) {
        next = nil
        guard operation == "unlink" || operation == "rename" else { return }
        let name = "\(limbo)/\(kept)"
        guard link(path, name) == 0 else { return }
        kept += 1
        next = name
    }

    func after(_ operation: String, _ path: String, from source: String?) {
        switch operation {
        case "create":
            note(.madeName(path))
            if let number = Self.number(path) { unsynchronized.insert(number) }
        case "write": if let number = Self.number(path) { unsynchronized.insert(number) }
        case "link": note(.madeName(path))
        case "unlink": if let next { note(.removedName(path, kept: next)) }
        case "rename": if let source { note(.renamed(from: source, to: path, kept: next)) }
        case "mkdir": note(.madeFolder(path))
        case "rmdir": note(.removedFolder(path))
        case "fsync": synchronized(path)
        default: break
        }
        next = nil
    }

    private func note(_ change: Change) { changes.append((Self.folder(of: change.path), change)) }

    private func synchronized(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            if keeps.contents { unsynchronized.remove(UInt(status.st_ino)) }
            return
        }
        guard keeps.names else { return }
        for (folder, change) in changes where folder == path { drop(change) }
        changes.removeAll { $0.folder == path }
    }

    private func drop(_ change: Change) {
        switch change {
        case .removedName(_, let kept), .renamed(_, _, .some(let kept)): unlink(kept)
        default: break
        }
    }

    /// The power is cut. Of the changes in each folder a first part has reached the disk, by chance, and of
    /// each content any part.
    func losePower(_ chance: inout Chance) {
        var surviving: [String: Int] = [:]
        for folder in Set(changes.map(\.folder)).sorted() {
            let count = changes.count { $0.folder == folder }
            surviving[folder] = chance.happens(0.5) ? 0 : chance.number(in: 0...count)
        }
        var lost: [Change] = []
        for (folder, change) in changes {
            let left = surviving[folder] ?? 0
            surviving[folder] = left - 1
            if left > 0 { drop(change) } else { lost.append(change) }
        }
        for change in lost.reversed() { undo(change) }
        changes = []
        tear(&chance)
    }

    private func undo(_ change: Change) {
        switch change {
        case .madeName(let path): unlink(path)
        case .removedName(let path, let kept):
            link(kept, path)
            unlink(kept)
        case .renamed(let source, let path, let kept):
            rename(path, source)
            if let kept {
                link(kept, path)
                unlink(kept)
            }
        case .madeFolder(let path): try? FileManager.default.removeItem(atPath: path)
        case .removedFolder(let path): mkdir(path, 0o700)
        }
    }

    /// Of what was written and not synchronized only a part is there.
    private func tear(_ chance: inout Chance) {
        guard !unsynchronized.isEmpty else { return }
        for root in roots {
            let names = FileManager.default.enumerator(atPath: root)?.compactMap { $0 as? String } ?? []
            for name in names.sorted() {
                let path = "\(root)/\(name)"
                var status = stat()
                guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
                    unsynchronized.contains(UInt(status.st_ino))
                else { continue }
                let size = Int(status.st_size)
                truncate(path, off_t(chance.number(in: 0...max(0, size - 1))))
                // The length may be there without what was written.
                if chance.happens(0.3) { truncate(path, off_t(size)) }
            }
        }
        unsynchronized = []
    }

    private static func folder(of path: String) -> String {
        String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
    }

    private static func number(_ path: String) -> UInt? {
        var status = stat()
        return stat(path, &status) == 0 ? UInt(status.st_ino) : nil
    }
}

/// What outlives a power cut of what was said to be durable.
package struct PowerPromises: Sendable, Hashable {
    /// Contents of files that were synchronized.
    package var contents = true
    /// Names in folders that were synchronized.
    package var names = true

    /// What the log has acknowledged.
    package var appends = true

    /// Everything.
    package init() {}
}
