internal import Glibc

/// A file on its way into the spool, written piece by piece, so that it may be larger than memory. What was
/// not committed is removed with its last owner. One thread at a time.
public final class SpoolUpload {
    /// The path that the file has once it is committed, relative to the root.
    public let relative: String
    /// Bytes so far.
    public private(set) var byteCount = 0

    private let file: OpenFile
    private let folder: Folder
    private let temporary: String
    private let final: String
    private var isCommitted = false
    /// What the file is as long as from the beginning.
    private var takenBytes = 0

    init(
        _ folders: SessionFolders, session: String, relative: String, final: String
    ) throws(StorageFailure) {
        self.relative = relative
        self.final = final
        folder = try folders.prepare(session)
        temporary = SessionFolders.temporaryName()
        file = try folder.create(temporary, mode: folders.fileMode)
    }

    deinit {
        // A name that can't be removed is swept later.
        if !isCommitted { _ = try? folder.remove(temporary) }
    }

    /// Gives the empty file the length that it may reach, so that others count it.
    func takeRoom(for bytes: Int) throws(StorageFailure) {
        try file.setLength(bytes)
        takenBytes = bytes
    }

    /// Writes the next bytes.
    public func append(_ bytes: UnsafeRawBufferPointer) throws(StorageFailure) {
        try file.writeAll(bytes)
        byteCount += bytes.count
    }

    /// Makes the file durable under its name.
    public func commit() throws(StorageFailure) {
        if takenBytes > byteCount { try file.setLength(byteCount) }
        try file.synchronize()
        try folder.rename(temporary, to: final)
        isCommitted = true
        try folder.synchronize()
    }
}

extension Spool {
    /// The files that stages, or whoever `stage` names, handed over, by number.
    public func handovers(
        session: String, stage: String
    ) throws(StorageFailure) -> [(sequence: Int, relative: String)] {
        let mark = ".\(stage)-"
        var found: [(sequence: Int, relative: String)] = []
        for name in try names(session: session) where name.dropFirst(8).hasPrefix(mark) {
            if let number = SessionFolders.sequence(in: name) { found.append((number, "\(session)/\(name)")) }
        }
        return found
    }
}
