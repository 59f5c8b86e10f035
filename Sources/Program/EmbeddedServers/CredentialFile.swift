internal import Glibc
package import Supervision

/// Why the credentials of a data folder's servers cannot be had.
package enum CredentialFailure: Error, Sendable, Equatable, CustomStringConvertible {
    /// The servers of the folder have had credentials, and the file is gone.
    case lost(path: String)
    /// Others can read the file, or write it.
    case exposed(path: String, mode: UInt32)
    /// It belongs to another user.
    case foreignOwner(path: String, owner: UInt32)
    /// It is not what this program writes.
    case damaged(path: String)
    /// The file system failed.
    case system(SystemFailure)

    /// What happened, to what, and what to do.
    package var description: String {
        switch self {
        case .lost(let path):
            "the credentials of the servers in this data folder are gone: there is no \(path); put the file "
                + "back, or start once with --rotate-credentials, which makes new ones (whoever else uses "
                + "the servers then needs the new URLs of endpoints.json)"
        case .exposed(let path, let mode):
            "\(path) has mode 0\(String(mode, radix: 8)), so that others may have read the passwords in it: "
                + "chmod 600 it, and start once with --rotate-credentials"
        case .foreignOwner(let path, let owner):
            "\(path) belongs to user \(owner): it must belong to the user that runs 'reel up'"
        case .damaged(let path):
            "\(path) is damaged: put it back from a copy, or start once with --rotate-credentials, which "
                + "makes new ones"
        case .system(let failure): "the credentials of the servers cannot be used: \(failure)"
        }
    }
}

/// The file of a data folder that has the passwords of its servers: mode 0600, written whole or not at all.
///
/// It is written before any server is told, so that whoever is killed in between finds at the next start
/// what to tell it again.
package struct CredentialFile: Sendable {
    /// `<data folder>/credentials.json`.
    package let path: String
    /// Files that only servers with credentials leave.
    private let traces: [String]

    /// A file that is larger is none of ours.
    private static let limitBytes = 1 << 14

    /// - Parameters:
    ///   - folder: the data folder.
    ///   - redis: the folder of its redis-server.
    ///   - mongodb: the folder of its mongod.
    package init(folder: String, redis: String, mongodb: String) {
        path = "\(folder)/credentials.json"
        traces = [EmbeddedRedis.userFile(in: redis), EmbeddedMongo.keyFile(in: mongodb)]
    }

    /// The credentials; made where the folder is new, or was made by a version that had none.
    /// - Parameter isRotating: whether new ones take the place of those that there are.
    package func open(isRotating: Bool) throws(CredentialFailure) -> ServerCredentials {
        if isRotating { return try make() }
        if let found = try read() { return found }
        if let trace = traces.first(where: { access($0, F_OK) == 0 }), !trace.isEmpty {
            throw .lost(path: path)
        }
        return try make()
    }

    private func make() throws(CredentialFailure) -> ServerCredentials {
        let fresh = ServerCredentials.generate()
        do throws(SystemFailure) { try writeFile(path, fresh.json) } catch { throw .system(error) }
        return fresh
    }

    /// What the file has; nil when there is none.
    private func read() throws(CredentialFailure) -> ServerCredentials? {
        let file = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw .system(SystemFailure("open", path))
        }
        defer { close(file) }
        var facts = stat()
        guard fstat(file, &facts) == 0 else { throw .system(SystemFailure("look at", path)) }
        guard facts.st_mode & S_IFMT == S_IFREG, facts.st_size <= Self.limitBytes else {
            throw .damaged(path: path)
        }
        guard facts.st_mode & 0o077 == 0 else {
            throw .exposed(path: path, mode: UInt32(facts.st_mode & 0o777))
        }
        guard facts.st_uid == geteuid() else { throw .foreignOwner(path: path, owner: facts.st_uid) }
        var bytes = [UInt8](repeating: 0, count: Self.limitBytes)
        let count = Glibc.read(file, &bytes, bytes.count)
        guard count >= 0 else { throw .system(SystemFailure("read", path)) }
        guard let found = ServerCredentials(json: String(decoding: bytes[..<count], as: UTF8.self)) else {
            throw .damaged(path: path)
        }
        return found
    }
}
