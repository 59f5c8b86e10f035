internal import Files
package import Base
internal import Glibc

/// Archive files in folders below a root, each written once. A file that is there is whole and durable. The
/// archive holds its root open and never leaves it: no link below it is followed, nothing but regular files
/// is opened.
///
/// Any thread and any process may use the same root. Calls block on the disk.
package final class ArchiveFiles: Sendable {
    /// The folder.
    package let root: String
    /// Zstandard level that is written.
    package let level: Int

    private static let folderMode: mode_t = 0o750
    private let opened = Lock<Folder?>(nil)

    /// The archive in a folder; it is made, with those above it, when the first file is written.
    package init(root: String, level: Int = 3) {
        self.root = root
        self.level = level
    }

    /// A folder below the root, by the names that lead to it; nil when there is none.
    private func folder(_ path: [String]) throws(StorageFailure) -> Folder? {
        var folder = try rootFolder()
        for name in path { folder = try folder?.folder(name) }
        return folder
    }

    private func rootFolder() throws(StorageFailure) -> Folder? {
        if let folder = opened.withLock({ $0 }) { return folder }
        let folder = try Folder.open(root)
        opened.withLock { $0 = folder }
        return folder
    }

    /// The same; made, durably, where there is none.
    private func makeFolder(_ path: [String]) throws(StorageFailure) -> Folder {
        var folder: Folder
        if let known = try rootFolder() {
            folder = known
        } else {
            folder = try Folder.make(root, mode: Self.folderMode)
            opened.withLock { $0 = folder }
        }
        for name in path {
            let (inner, isNew) = try folder.makeFolder(name, mode: Self.folderMode)
            if isNew { try folder.synchronize() }
            folder = inner
        }
        return folder
    }

    /// Names of the files in a folder below the root, without those of writes under way; none when there
    /// is no such folder.
    package func names(in path: [String]) throws(ArchiveFailure) -> [String] {
        do throws(StorageFailure) {
            return try (folder(path)?.names() ?? []).filter(\.isText).map(\.text)
                .filter { !$0.hasPrefix(FileTree.temporaryPrefix) }
        } catch { throw .storage(error) }
    }

    /// Writes a file, durably, unless one has the name already.
    /// - Returns: false when the name was taken: the file there stays, and is durable too.
    @discardableResult
    package func write(_ file: ArchiveFile, in path: [String], name: String) throws(ArchiveFailure) -> Bool {
        let image: [UInt8]
        do throws(CodecFailure) { image = try ArchiveImage.encode(file, level: level) } catch {
            throw .codec(path: full(path, name), error)
        }
        do throws(StorageFailure) {
            let folder = try makeFolder(path)
            let isNew = try place(image, folder, name)
            try folder.synchronize()
            return isNew
        } catch { throw .storage(error) }
    }

    private func full(_ path: [String], _ name: String) -> String {
        ([root] + path + [name]).joined(separator: "/")
    }

    private func place(_ image: [UInt8], _ folder: Folder, _ final: String) throws(StorageFailure) -> Bool {
        let temporary = FileTree.temporaryName()
        do throws(StorageFailure) {
            try Self.writeDurably(image, try folder.create(temporary, mode: 0o640))
            let isNew = try folder.link(temporary, as: final)
            try folder.remove(temporary)
            return isNew
        } catch {
            _ = try? folder.remove(temporary)
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
    package func read(
        in path: [String], name: String
    ) throws(ArchiveFailure) -> (file: ArchiveFile, digest: Digest, frontDigest: Digest) {
        try ArchiveImage.decode(try bytes(path, name), path: full(path, name))
    }

    /// The front of a file and the digest of all of it, both verified; decompresses nothing.
    package func readSealed(
        in path: [String], name: String
    ) throws(ArchiveFailure) -> (front: ArchiveFront, digest: Digest) {
        try ArchiveImage.verify(try bytes(path, name), path: full(path, name))
    }

    /// Header and index of a file, verified; the payload is not read.
    package func readFront(in path: [String], name: String) throws(ArchiveFailure) -> ArchiveFront {
        let start = try bytes(path, name, upTo: ArchiveImage.fixedBytes)
        guard let lengths = ArchiveImage.lengths(start),
            let front = ArchiveImage.front(try bytes(path, name, upTo: lengths.front))
        else {
            throw .damaged(path: full(path, name), text: "its header or index is not what was written")
        }
        return front
    }

    /// Folders below the root; none when there is no root.
    package func folders() throws(ArchiveFailure) -> [String] {
        do throws(StorageFailure) {
            var found: [String] = []
            guard let root = try rootFolder() else { return [] }
            for name in try root.names() where name.isText {
                if try root.status(name)?.kind == .folder { found.append(name.text) }
            }
            return found
        } catch { throw .storage(error) }
    }

    /// Writes a few bytes, durably, in the place of a file that may be there.
    package func writeNote(_ bytes: [UInt8], in path: [String], name: String) throws(ArchiveFailure) {
        do throws(StorageFailure) {
            let folder = try makeFolder(path)
            let temporary = FileTree.temporaryName()
            do throws(StorageFailure) {
                try Self.writeDurably(bytes, try folder.create(temporary, mode: 0o640))
                try folder.rename(temporary, to: name)
            } catch {
                _ = try? folder.remove(temporary)
                throw error
            }
            try folder.synchronize()
        } catch { throw .storage(error) }
    }

    /// What `writeNote` wrote, at most `limit` bytes of it; nil when there is no such file.
    package func readNote(in path: [String], name: String, limit: Int) throws(ArchiveFailure) -> [UInt8]? {
        do throws(ArchiveFailure) { return try bytes(path, name, upTo: limit) } catch {
            if case .storage(let failure) = error, failure.isMissing { return nil }
            throw error
        }
    }

    /// Gives a file another name in its folder, durably.
    package func rename(_ name: String, to other: String, in path: [String]) throws(ArchiveFailure) {
        do throws(StorageFailure) {
            guard let folder = try folder(path) else { throw .missing(path: full(path, name)) }
            try folder.rename(name, to: other)
            try folder.synchronize()
        } catch { throw .storage(error) }
    }

    /// Removes what crashed writes left behind in a folder: temporary files that no write has touched for
    /// `age` seconds.
    /// - Returns: how many there were.
    @discardableResult
    package func sweepTemporaries(
        in path: [String], olderThanSeconds age: Int
    ) throws(ArchiveFailure) -> Int {
        let limit = time(nil) - age
        var removed = 0
        do throws(StorageFailure) {
            guard let folder = try folder(path) else { return 0 }
            for name in try folder.names() where name.text.hasPrefix(FileTree.temporaryPrefix) {
                guard let status = try folder.status(name), status.kind == .regular,
                    status.st_mtim.tv_sec <= limit
                else { continue }
                if try folder.remove(name) { removed += 1 }
            }
        } catch { throw .storage(error) }
        return removed
    }

    private func bytes(
        _ path: [String], _ name: String, upTo limit: Int? = nil
    ) throws(ArchiveFailure) -> [UInt8] {
        do throws(StorageFailure) {
            guard let folder = try folder(path) else { throw .missing(path: full(path, name)) }
            let file = try folder.openForReading(name)
            let size = try file.status().bytes
            guard size <= ArchiveImage.limitBytes else {
                throw .tooLarge(path: file.path, bytes: size, limit: ArchiveImage.limitBytes)
            }
            return try file.readBytes(min(size, limit ?? size))
        } catch { throw .storage(error) }
    }
}
