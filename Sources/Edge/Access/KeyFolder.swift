internal import Base
internal import Glibc
import Synchronization

/// Why keys can't be used.
package struct KeyFailure: Error, Equatable, CustomStringConvertible {
    /// The file or folder.
    package let path: String
    /// What is wrong with it, and what to do.
    package let reason: String

    /// Both.
    package var description: String { "\(path): \(reason)" }
}

/// The keys in a folder. Files come and go while it is used: within a second or so a new one counts, and
/// one that is gone counts no more.
///
/// - `<kid>.hs256`: a shared secret, all bytes of the file, at least 32; mode 0600
/// - `<kid>.pem`: a public key, RSA, P-256 or Ed25519
/// - `<kid>.key.pem`: a private Ed25519 key, for minting; mode 0600
/// - `*.jwks.json`: a set of keys (RFC 7517)
///
/// Other files are not looked at.
package final class KeyFolder: Sendable {
    private struct State {
        var keys: [String: TokenKey] = [:]
        var problems: [KeyFailure] = []
        var stamp: [FileStamp] = []
    }

    private let state = Lock(State())
    private let path: String
    private let onProblem: @Sendable (KeyFailure) -> Void
    private let changes = Atomic<UInt64>(0)
    private let nextLook = Atomic<Int64>(0)
    private static let lookEveryMilliseconds: Int64 = 1000

    /// Reads the folder. Throws when it can't be read, or one of its files can't be used: a mistake is
    /// found at the start. Later ones are in `problems`, and the good keys go on.
    /// - Parameter onProblem: told once of each later problem, by whoever checks a token then.
    package init(
        path: String, onProblem: @escaping @Sendable (KeyFailure) -> Void = { _ in }
    ) throws(KeyFailure) {
        self.path = path
        self.onProblem = onProblem
        guard let stamp = FileStamp.all(in: path) else {
            throw KeyFailure(path: path, reason: "the folder of keys can't be read")
        }
        let (keys, problems) = Self.read(path, stamp)
        if let problem = problems.first { throw problem }
        state.withLock { state in
            state.keys = keys
            state.stamp = stamp
        }
        nextLook.store(now() + Self.lookEveryMilliseconds, ordering: .relaxed)
    }

    /// Whether there is any key.
    package var isEmpty: Bool { all.isEmpty }

    /// The keys' ids, sorted.
    package var ids: [String] { all.keys.sorted() }

    /// Files that can't be used, since the last change.
    package var problems: [KeyFailure] {
        _ = all
        return state.withLock { $0.problems }
    }

    /// Looks at the folder at the next use, however short ago it was looked at.
    package func lookSoon() { nextLook.store(0, ordering: .relaxed) }

    /// A number that changes whenever the keys do. Looks at the folder when that is due.
    package var generation: UInt64 {
        _ = all
        return changes.load(ordering: .acquiring)
    }

    /// The same while no look at the folder is due; nil when one is. Never blocks.
    package var settledGeneration: UInt64? {
        now() < nextLook.load(ordering: .relaxed) ? changes.load(ordering: .acquiring) : nil
    }

    /// The keys by id, as the folder is now.
    var all: [String: TokenKey] {
        let now = now()
        let (known, isDue) = state.withLock { state in
            let isDue = now >= nextLook.load(ordering: .relaxed)
            if isDue { nextLook.store(now + Self.lookEveryMilliseconds, ordering: .relaxed) }
            return ((keys: state.keys, stamp: state.stamp), isDue)
        }
        guard isDue else { return known.keys }
        guard let stamp = FileStamp.all(in: path) else {
            // Without its folder nobody can say which keys still count.
            let problem = KeyFailure(path: path, reason: "the folder of keys can't be read")
            let before = take([:], [problem], [])
            if before != [problem] { onProblem(problem) }
            return [:]
        }
        guard stamp != known.stamp else { return known.keys }
        let (keys, problems) = Self.read(path, stamp)
        _ = take(keys, problems, stamp)
        for problem in problems { onProblem(problem) }
        return keys
    }

    /// From now on these count; the problems that there were before.
    private func take(
        _ keys: [String: TokenKey], _ problems: [KeyFailure], _ stamp: [FileStamp]
    ) -> [KeyFailure] {
        state.withLock { state in
            defer { state.problems = problems }
            state.keys = keys
            state.stamp = stamp
            // After the keys: whoever sees the new number uses the new keys.
            changes.add(1, ordering: .acquiringAndReleasing)
            return state.problems
        }
    }

    private static func read(_ folder: String, _ files: [FileStamp]) -> ([String: TokenKey], [KeyFailure]) {
        var keys: [String: TokenKey] = [:]
        var problems: [KeyFailure] = []
        for file in files {
            let path = folder + "/" + file.name
            do throws(KeyFailure) {
                for key in try KeyFile.read(path, name: file.name) {
                    guard keys[key.id] == nil else {
                        throw KeyFailure(path: path, reason: "another file has a key of the id \(key.id) too")
                    }
                    keys[key.id] = key
                }
            } catch {
                problems.append(error)
            }
        }
        return (keys, problems)
    }

    private func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}

/// What tells whether a file has changed.
struct FileStamp: Equatable {
    let name: String
    let inode: UInt
    let size: Int
    let seconds: Int
    let nanoseconds: Int
    let mode: UInt32

    /// The files of a folder that can hold keys, by name; nil when it can't be read.
    static func all(in folder: String) -> [FileStamp]? {
        guard let listing = opendir(folder) else { return nil }
        defer { closedir(listing) }
        var stamps: [FileStamp] = []
        while let entry = readdir(listing) {
            let name = String(decoding: DirectoryEntry(entry).nameBytes, as: UTF8.self)
            guard KeyFile.holdsKeys(name) else { continue }
            var status = stat()
            guard stat(folder + "/" + name, &status) == 0 else { continue }
            stamps.append(
                FileStamp(
                    name: name, inode: UInt(status.st_ino), size: Int(status.st_size),
                    seconds: status.st_ctim.tv_sec, nanoseconds: status.st_ctim.tv_nsec, mode: status.st_mode)
            )
        }
        return stamps.sorted { $0.name < $1.name }
    }
}

/// One file with keys.
enum KeyFile {
    private static let limitBytes = 256 << 10

    static func holdsKeys(_ name: String) -> Bool {
        !name.hasPrefix(".")
            && [".hs256", ".pem", ".jwks.json"].contains { name.hasSuffix($0) && name != $0 }
    }

    static func read(_ path: String, name: String) throws(KeyFailure) -> [TokenKey] {
        let (bytes, isPrivate) = try contents(path)
        if name.hasSuffix(".jwks.json") {
            do throws(JSONWebKeySet.Problem) {
                return try JSONWebKeySet.read(bytes, allowsSecrets: isPrivate)
            } catch {
                throw KeyFailure(path: path, reason: error.text)
            }
        }
        let isSigning = name.hasSuffix(".key.pem")
        let isSecret = name.hasSuffix(".hs256")
        guard isPrivate || !isSigning && !isSecret else {
            throw KeyFailure(path: path, reason: "others can read it or write it: chmod 600")
        }
        let id = String(name.dropLast(isSigning ? 8 : isSecret ? 6 : 4))
        if isSecret {
            guard let key = TokenKey(id: id, secret: bytes) else {
                throw KeyFailure(path: path, reason: "a secret has at least 32 bytes")
            }
            return [key]
        }
        guard let key = TokenKey(id: id, pem: bytes) else {
            throw KeyFailure(
                path: path, reason: "it is no RSA key of 2048 bits, P-256 key or Ed25519 key in PEM")
        }
        return [key]
    }

    /// The file's bytes, and whether nobody but its owner, who must be us, can read or write it.
    private static func contents(_ path: String) throws(KeyFailure) -> ([UInt8], Bool) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw KeyFailure(path: path, reason: "it can't be opened") }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
            status.st_size <= limitBytes
        else { throw KeyFailure(path: path, reason: "it is no file of at most \(limitBytes) bytes") }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var count = 0
        while count < bytes.count {
            let got = bytes.withUnsafeMutableBytes {
                Glibc.read(descriptor, $0.baseAddress?.advanced(by: count), $0.count - count)
            }
            guard got > 0 else { throw KeyFailure(path: path, reason: "it can't be read") }
            count += got
        }
        let isOurs = status.st_uid == geteuid() || geteuid() == 0
        return (bytes, isOurs && status.st_mode & 0o077 == 0)
    }
}
