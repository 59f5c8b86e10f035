internal import Glibc

/// The files of a key ring. Refuses what others could have read or replaced.
struct KeyFiles: Sendable {
    private static let suffix = ".kek"
    private static let maximumFileBytes = 256

    private let folder: String
    var activePath: String { "\(folder)/active" }

    init(folder: String) throws(KeyFailure) {
        self.folder = folder
        do {
            try Files.makeFolders(folder, mode: 0o700)
        } catch {
            throw Self.failure(error)
        }
        var status = stat()
        guard stat(folder, &status) == 0 else { throw .file(FileFailure("stat", folder)) }
        // Who can write the folder can put his own key in; reading its names is harmless.
        try Self.check(status, path: folder, forbidden: 0o022)
    }

    /// Ids of all keys, sorted.
    func ids() throws(KeyFailure) -> [String] {
        do {
            return (try Files.names(in: folder) ?? [])
                .filter { $0.hasSuffix(Self.suffix) }
                .map { String($0.dropLast(Self.suffix.count)) }
                .filter(Identifier.isValid)
        } catch {
            throw Self.failure(error)
        }
    }

    /// The id in the file `active`; nil when there is no such file.
    func activeID() throws(KeyFailure) -> String? {
        guard let line = try line(of: activePath) else { return nil }
        let id = String(decoding: line, as: UTF8.self)
        guard Identifier.isValid(id) else {
            throw .damagedFile(path: activePath, reason: "it does not hold a key's id")
        }
        return id
    }

    func read(id: String) throws(KeyFailure) -> SecretBytes {
        guard Identifier.isValid(id) else { throw .invalid(what: "kek_id", reason: "\"\(id)\"") }
        let path = path(id)
        guard var line = try line(of: path) else {
            throw .unknownKeyEncryptionKey(id: id, folder: folder)
        }
        defer { line.withUnsafeMutableBytes { Sodium.wipe($0) } }
        guard line.count == 2 * SessionKey.byteCount,
            var bytes = Hex.decode(String(decoding: line, as: UTF8.self))
        else {
            throw .damagedFile(path: path, reason: "it does not hold 64 hexadecimal digits")
        }
        defer { bytes.withUnsafeMutableBytes { Sodium.wipe($0) } }
        return bytes.withUnsafeBytes { SecretBytes(copying: $0) }
    }

    /// Writes a key and makes it active unless another process is first; then the other's key stands and this
    /// one is removed.
    func createFirst(id: String, secret: SecretBytes) throws(KeyFailure) {
        try write(id: id, secret: secret)
        do {
            let isFirst = try place([UInt8]("\(id)\n".utf8)) { temporary throws(StorageFailure) in
                let isFirst = try Files.linkIfAbsent(temporary, to: activePath)
                try Files.remove(temporary)
                return isFirst
            }
            if !isFirst { try Files.remove(path(id)) }
        } catch {
            throw Self.failure(error)
        }
    }

    func write(id: String, secret: SecretBytes) throws(KeyFailure) {
        var text = secret.withBytes { [UInt8](Hex.encode($0).utf8) } + [UInt8(ascii: "\n")]
        defer { text.withUnsafeMutableBytes { Sodium.wipe($0) } }
        do {
            try place(text) { temporary throws(StorageFailure) in
                try Files.rename(temporary, to: path(id))
            }
        } catch {
            throw Self.failure(error)
        }
    }

    func activate(_ id: String) throws(KeyFailure) {
        do {
            try place([UInt8]("\(id)\n".utf8)) { temporary throws(StorageFailure) in
                try Files.rename(temporary, to: activePath)
            }
        } catch {
            throw Self.failure(error)
        }
    }

    private func path(_ id: String) -> String { "\(folder)/\(id)\(Self.suffix)" }

    /// Writes a file under a temporary name, durably, and lets `name` give it its final one.
    private func place<R>(
        _ bytes: [UInt8], name: (_ temporary: String) throws(StorageFailure) -> R
    ) throws(StorageFailure) -> R {
        let temporary = folder + "/" + Identifier.random(prefix: SessionFolders.temporaryPrefix, bytes: 12)
        do {
            let file = try Files.create(temporary, mode: 0o600)
            let line = ScratchBuffer(capacity: bytes.count)
            line.append(bytes)
            defer { line.withMutableBytes { Sodium.wipe($0) } }
            try line.withBytes { line throws(StorageFailure) in try file.writeAll(line) }
            try file.synchronize()
            let result = try name(temporary)
            try Files.synchronizeFolder(folder)
            return result
        } catch {
            // The first failure is the one to report.
            unlink(temporary)
            throw error
        }
    }

    /// The one line of a file without its line feed; nil when there is no such file.
    private func line(of path: String) throws(KeyFailure) -> [UInt8]? {
        let buffer = ScratchBuffer(capacity: Self.maximumFileBytes)
        defer { buffer.withMutableBytes { Sodium.wipe($0) } }
        let status: stat
        do {
            let file = try Files.openForReading(path)
            status = try file.status()
            buffer.setCount(try file.read(into: buffer.base, count: Self.maximumFileBytes, at: 0))
        } catch .missing {
            return nil
        } catch {
            throw Self.failure(error)
        }
        try Self.check(status, path: path, forbidden: 0o077)
        let bytes = buffer.copyBytes()
        guard bytes.last == UInt8(ascii: "\n") else {
            throw .damagedFile(path: path, reason: "it does not end with a line feed")
        }
        return Array(bytes.dropLast())
    }

    private static func check(_ status: stat, path: String, forbidden: mode_t) throws(KeyFailure) {
        guard status.st_mode & forbidden == 0 else {
            throw .exposed(path: path, mode: UInt32(status.st_mode & 0o777))
        }
        guard status.st_uid == geteuid() else { throw .foreignOwner(path: path, owner: status.st_uid) }
    }

    private static func failure(_ failure: StorageFailure) -> KeyFailure {
        switch failure {
        case .file(let failure): .file(failure)
        case .missing(let path): .file(FileFailure("open", path, code: ENOENT))
        default: .invalid(what: "key file", reason: failure.description)
        }
    }
}
