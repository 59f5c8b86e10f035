internal import Glibc

/// Archive files in folders below a root, each written once. A file that is there is whole and durable.
///
/// Any thread and any process may use the same root. Calls block on the disk.
public struct ArchiveFiles: Sendable {
    /// The folder.
    public let root: String
    /// Zstandard level that is written.
    public let level: Int

    private static let temporaryPrefix = ".tmp-"

    /// The archive in a folder; it is made, with those above it, when the first file is written.
    public init(root: String, level: Int = 3) {
        self.root = root
        self.level = level
    }

    /// Names of the files in a folder below the root, without those of writes under way; none when there
    /// is no such folder.
    public func names(in folder: String) throws(ArchiveFailure) -> [String] {
        let path = "\(root)/\(folder)"
        do throws(StorageFailure) {
            return (try Files.names(in: path) ?? []).filter { !$0.hasPrefix(Self.temporaryPrefix) }
        } catch { throw .storage(error) }
    }

    /// Writes a file, durably, unless one has the name already.
    /// - Returns: false when the name was taken: the file there stays, and is durable too.
    @discardableResult
    public func write(_ file: ArchiveFile, folder: String, name: String) throws(ArchiveFailure) -> Bool {
        let path = "\(root)/\(folder)"
        let final = "\(path)/\(name)"
        let image: [UInt8]
        do throws(CodecFailure) { image = try ArchiveImage.encode(file, level: level) } catch {
            throw .codec(path: final, error)
        }
        do throws(StorageFailure) {
            try Files.makeFolders(path, mode: 0o750)
            let temporary = "\(path)/\(Identifier.random(prefix: Self.temporaryPrefix, bytes: 12))"
            let isNew = try place(image, temporary, final)
            try Files.synchronizeFolder(path)
            return isNew
        } catch { throw .storage(error) }
    }

    private func place(_ image: [UInt8], _ temporary: String, _ final: String) throws(StorageFailure) -> Bool
    {
        do throws(StorageFailure) {
            try Self.writeDurably(image, try Files.create(temporary, mode: 0o640))
            let isNew = try Files.linkIfAbsent(temporary, to: final)
            try Files.remove(temporary)
            return isNew
        } catch {
            _ = try? Files.remove(temporary)
            throw error
        }
    }

    private static func writeDurably(_ image: [UInt8], _ file: consuming OpenFile) throws(StorageFailure) {
        let buffer = ScratchBuffer()
        buffer.append(image)
        try buffer.withBytes { bytes throws(StorageFailure) in try file.writeAll(bytes) }
        try file.synchronize()
    }

    /// A whole file, verified, with the digest of all its bytes before the last 32, and that of its front.
    public func read(
        folder: String, name: String
    ) throws(ArchiveFailure) -> (file: ArchiveFile, digest: Digest, frontDigest: Digest) {
        let path = "\(root)/\(folder)/\(name)"
        return try ArchiveImage.decode(try bytes(path, upTo: nil), path: path)
    }

    /// The front of a file and the digest of all of it, both verified; decompresses nothing.
    public func readSealed(
        folder: String, name: String
    ) throws(ArchiveFailure) -> (front: ArchiveFront, digest: Digest) {
        let path = "\(root)/\(folder)/\(name)"
        return try ArchiveImage.verify(try bytes(path, upTo: nil), path: path)
    }

    /// Header and index of a file, verified; the payload is not read.
    public func readFront(folder: String, name: String) throws(ArchiveFailure) -> ArchiveFront {
        let path = "\(root)/\(folder)/\(name)"
        let start = try bytes(path, upTo: ArchiveImage.fixedBytes)
        guard let lengths = ArchiveImage.lengths(start),
            let front = ArchiveImage.front(try bytes(path, upTo: lengths.front))
        else { throw .damaged(path: path, text: "its header or index is not what was written") }
        return front
    }

    /// Removes what crashed writes left behind in a folder: temporary names that no write has touched for
    /// `age` seconds.
    /// - Returns: how many there were.
    @discardableResult
    public func sweepTemporaries(in folder: String, olderThanSeconds age: Int) throws(ArchiveFailure) -> Int {
        let path = "\(root)/\(folder)"
        let limit = time(nil) - age
        var removed = 0
        do throws(StorageFailure) {
            for name in try Files.names(in: path) ?? [] where name.hasPrefix(Self.temporaryPrefix) {
                guard let status = try Files.status("\(path)/\(name)"), status.st_mtim.tv_sec <= limit else {
                    continue
                }
                if try Files.remove("\(path)/\(name)") { removed += 1 }
            }
        } catch { throw .storage(error) }
        return removed
    }

    private func bytes(_ path: String, upTo limit: Int?) throws(ArchiveFailure) -> [UInt8] {
        do throws(StorageFailure) {
            let file = try Files.openForReading(path)
            let size = Int(try file.status().st_size)
            guard size <= 2 * ArchiveImage.limitBytes else {
                throw .tooLarge(path: path, bytes: size, limit: 2 * ArchiveImage.limitBytes)
            }
            let wanted = min(size, limit ?? size)
            let buffer = ScratchBuffer()
            try buffer.appendUninitialized(wanted) { target throws(StorageFailure) in
                guard let base = target.baseAddress else { return 0 }
                return try file.read(into: base, count: wanted, at: 0)
            }
            return buffer.copyBytes()
        } catch { throw .storage(error) }
    }
}
