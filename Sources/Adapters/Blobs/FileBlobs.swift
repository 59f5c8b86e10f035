package import Files

/// Blobs as files below a folder, by their names.
///
/// The store holds its folder open and never leaves it: no link in it is followed, nothing but regular files
/// is opened.
package struct FileBlobs: BlobStore {
    private let tree: FileTree

    /// The store in a folder, which is made with those above it if need be.
    package init(root: String) throws(StorageFailure) {
        tree = try FileTree(root: root, folderMode: 0o750, fileMode: 0o640)
    }

    /// The folder.
    package var place: String { tree.root.path }

    /// Writes a file under a temporary name, and links it to its own, unless that is taken.
    package func putIfAbsent(
        _ bytes: UnsafeRawBufferPointer, _ name: BlobName
    ) throws(StorageFailure) -> PutOutcome {
        // Spares a whole write when the work was done before a crash.
        if let there = try tree.folder(name.folder), try there.status(name.name) != nil {
            return try adopt(name)
        }
        let isNew = try tree.writeDurably(in: name.folder, bytes: bytes) {
            folder, temporary throws(StorageFailure) in
            let isNew = try folder.link(temporary, as: name.name)
            try folder.remove(temporary)
            return isNew
        }
        return isNew ? .stored : try adopt(name)
    }

    /// Makes a file that was there first durable: its writer may have died between giving it its name and
    /// synchronizing the folder.
    private func adopt(_ name: BlobName) throws(StorageFailure) -> PutOutcome {
        let folder = try tree.prepare(name.folder)
        let file = try folder.openForReading(name.name)
        try file.synchronize()
        try folder.synchronize()
        return .alreadyStored(bytes: try file.status().bytes)
    }

    /// A whole file, by one descriptor: its length is that of the bytes that are read.
    package func read(
        _ name: BlobName, into buffer: ScratchBuffer, expectedBytes: Int?, maximumBytes: Int
    ) throws(StorageFailure) {
        buffer.removeAll()
        try tree.folder(name.folder, with: name.name).read(
            name.name, into: buffer, expectedBytes: expectedBytes, maximumBytes: maximumBytes)
    }

    /// A part of a file, and its length, by one descriptor.
    package func read(
        _ name: BlobName, from offset: Int, count: Int, into buffer: ScratchBuffer
    ) throws(StorageFailure) -> Int {
        buffer.removeAll()
        let file = try tree.folder(name.folder, with: name.name).openForReading(name.name)
        let size = try file.status().bytes
        guard offset >= 0, count > 0, offset < size else { return size }
        let wanted = min(count, size - offset)
        buffer.reserve(wanted)
        buffer.setCount(try file.read(into: buffer.base, count: wanted, at: offset))
        return size
    }

    /// - Throws: `notAFile` for anything else that has the name.
    package func size(_ name: BlobName) throws(StorageFailure) -> Int? {
        guard let folder = try tree.folder(name.folder), let status = try folder.status(name.name) else {
            return nil
        }
        guard status.kind == .regular else { throw .notAFile(path: folder.full(name.name), status.kind) }
        return status.bytes
    }

    /// What stands in a folder; temporary files are nobody's yet.
    package func list(_ folder: [String]) throws(StorageFailure) -> BlobListing {
        try BlobName.check(folder: folder)
        var listing = BlobListing()
        guard let open = try tree.folder(folder) else { return listing }
        for name in try open.names() {
            // Gone again: nobody's.
            guard let status = try open.status(name) else { continue }
            let isFile = status.kind == .regular
            if isFile, name.isText, (try? BlobName(folder, name.text)) != nil {
                listing.blobs.append(StoredBlob(name: name.text, bytes: status.bytes))
            } else if status.kind == .folder, name.isText {
                listing.folders.append(name.text)
            } else if !isFile || !name.text.hasPrefix(FileTree.temporaryPrefix) {
                listing.others.append(OtherName(name: name.text, kind: status.kind))
            }
        }
        return listing
    }

    /// Renames a file; both folders are synchronized.
    package func move(_ name: BlobName, to other: BlobName) throws(StorageFailure) -> Bool {
        guard let folder = try tree.folder(name.folder), try folder.status(name.name) != nil else {
            return false
        }
        let target = try tree.prepare(other.folder)
        try folder.rename(name.name, to: other.name, in: target)
        try target.synchronize()
        try folder.synchronize()
        return true
    }

    /// Removes whatever has the name and is no folder: a link, and not what it leads to.
    package func remove(_ name: BlobName) throws(StorageFailure) -> Bool {
        guard let folder = try tree.folder(name.folder) else { return false }
        let removed = try folder.remove(name.name)
        if removed { try folder.synchronize() }
        return removed
    }

    /// Removes a folder, or what stands in its place: nothing that a link leads to.
    package func removeAll(_ folder: [String]) throws(StorageFailure) -> Int {
        try BlobName.check(folder: folder)
        return try tree.removeFolder(folder)
    }

    /// Removes old temporary files of one folder.
    package func sweepUnfinished(
        _ folder: [String], olderThanSeconds age: Int
    ) throws(StorageFailure) -> Int {
        try BlobName.check(folder: folder)
        return try tree.sweepTemporaries(in: folder, olderThanSeconds: age)
    }
}
