internal import Files
internal import Base
internal import Glibc

/// The files of a key ring. Refuses what others could have read or replaced.
struct KeyFiles: Sendable {
    private static let suffix = ".kek"
    private static let maximumFileBytes = 256

    private static let active = "active"

    private let folder: Folder
    var activePath: String { folder.full(Self.active) }

    init(folder path: String) throws(KeyFailure) {
        do throws(StorageFailure) {
            folder = try Folder.make(path, mode: 0o700)
        } catch {
            throw Self.failure(error)
        }
        let status: stat?
        do throws(StorageFailure) { status = try folder.status(".") } catch { throw Self.failure(error) }
        // Who can write the folder can put his own key in; reading its names is harmless.
        if let status { try Self.check(status, path: path, forbidden: 0o022) }
    }

    /// Ids of all keys, sorted.
    func ids() throws(KeyFailure) -> [String] {
        do {
            return try folder.names().map(\.text)
                .filter { $0.hasSuffix(Self.suffix) }
                .map { String($0.dropLast(Self.suffix.count)) }
                .filter(Identifier.isValid)
        } catch {
            throw Self.failure(error)
        }
    }

    /// The id in the file `active`; nil when there is no such file.
    func activeID() throws(KeyFailure) -> String? {
        guard let line = try line(of: Self.active) else { return nil }
        let id = String(decoding: line, as: UTF8.self)
        guard Identifier.isValid(id) else {
            throw .damagedFile(path: activePath, reason: "it does not hold a key's id")
        }
        return id
    }

    func read(id: String) throws(KeyFailure) -> SecretBytes {
        guard Identifier.isValid(id) else { throw .invalid(what: "kek_id", reason: "\"\(id)\"") }
        let path = folder.full(Self.name(id))
        guard var line = try line(of: Self.name(id)) else {
            throw .unknownKeyEncryptionKey(id: id, folder: folder.path)
        }
        defer { line.withUnsafeMutableBytes { Sodium.wipe($0) } }
        guard line.count == 2 * SessionKey.byteCount,
            var bytes = Hexadecimal.bytes(String(decoding: line, as: UTF8.self))
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
                let isFirst = try folder.link(temporary, as: Self.active)
                try folder.remove(temporary)
                return isFirst
            }
            if !isFirst { try folder.remove(Self.name(id)) }
        } catch {
            throw Self.failure(error)
        }
    }

    func write(id: String, secret: SecretBytes) throws(KeyFailure) {
        var text = secret.withBytes { [UInt8](Hexadecimal.text($0).utf8) } + [UInt8(ascii: "\n")]
        defer { text.withUnsafeMutableBytes { Sodium.wipe($0) } }
        do {
            try place(text) { temporary throws(StorageFailure) in
                try folder.rename(temporary, to: Self.name(id))
            }
        } catch {
            throw Self.failure(error)
        }
    }

    func activate(_ id: String) throws(KeyFailure) {
        do {
            try place([UInt8]("\(id)\n".utf8)) { temporary throws(StorageFailure) in
                try folder.rename(temporary, to: Self.active)
            }
        } catch {
            throw Self.failure(error)
        }
    }

    private static func name(_ id: String) -> String { id + suffix }

    /// Writes a file under a temporary name, durably, and lets `name` give it its final one.
    private func place<R>(
        _ bytes: [UInt8], name: (_ temporary: String) throws(StorageFailure) -> R
    ) throws(StorageFailure) -> R {
        let temporary = FileTree.temporaryName()
        do {
            let file = try folder.create(temporary, mode: 0o600)
            let line = ScratchBuffer(capacity: bytes.count)
            line.append(bytes)
            defer { line.withMutableBytes { Sodium.wipe($0) } }
            try line.withBytes { line throws(StorageFailure) in try file.writeAll(line) }
            try file.synchronize()
            let result = try name(temporary)
            try folder.synchronize()
            return result
        } catch {
            // The first failure is the one to report.
            _ = try? folder.remove(temporary)
            throw error
        }
    }

    /// The one line of a file without its line feed; nil when there is no such file.
    private func line(of name: String) throws(KeyFailure) -> [UInt8]? {
        let path = folder.full(name)
        let buffer = ScratchBuffer(capacity: Self.maximumFileBytes)
        defer { buffer.withMutableBytes { Sodium.wipe($0) } }
        let status: stat
        do throws(StorageFailure) {
            let file = try folder.openForReading(name)
            status = try file.status()
            if status.bytes <= Self.maximumFileBytes {
                buffer.setCount(try file.read(into: buffer.base, count: Self.maximumFileBytes, at: 0))
            }
        } catch {
            if case .missing = error { return nil }
            throw Self.failure(error)
        }
        guard status.bytes <= Self.maximumFileBytes else {
            throw .damagedFile(path: path, reason: "it has \(status.bytes) bytes")
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
        case .notAFile(let path, let kind): .damagedFile(path: path, reason: "it is \(kind.rawValue)")
        default: .invalid(what: "key file", reason: failure.description)
        }
    }
}
