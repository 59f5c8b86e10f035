package import Files
internal import Glibc
internal import Base

/// Recorded bytes on their way into the spool, written piece by piece, so that they may be more than memory
/// holds. What was not committed is removed with its last owner. One thread at a time.
package final class SpoolWriter {
    /// Bytes so far.
    package private(set) var byteCount = 0

    private let file: OpenFile
    private let session: String
    private let folder: Folder
    private let temporary: String
    private let lineage = SpoolName.newLineage()
    private var isCommitted = false
    /// What the file is as long as from the beginning.
    private var takenBytes = 0

    init(_ folders: FileTree, session: String, number: Int?) throws(StorageFailure) {
        self.session = session
        folder = try folders.prepare(ChunkPath.folder(session))
        var start = FileTree.temporaryPrefix
        if let number { start += "\(try ChunkPath.digits(number))-" }
        temporary = Identifier.random(prefix: start, bytes: 12)
        file = try folder.create(temporary, mode: folders.fileMode)
    }

    /// The chunk's number, where a name is that of a file that was begun with one.
    static func number(begunAs name: String) -> Int? {
        guard name.hasPrefix(FileTree.temporaryPrefix) else { return nil }
        let rest = name.dropFirst(FileTree.temporaryPrefix.count)
        return rest.dropFirst(8).first == "-" ? ChunkPath.sequence(in: rest) : nil
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
    package func append(_ bytes: UnsafeRawBufferPointer) throws(StorageFailure) {
        try file.writeAll(bytes)
        byteCount += bytes.count
    }

    /// Makes the file durable under its name.
    /// - Parameter sequence: the chunk's number.
    /// - Returns: the file's path relative to the root.
    package func commit(as sequence: Int) throws(StorageFailure) -> String {
        let name = try SpoolName.recorded(sequence, lineage)
        if takenBytes > byteCount { try file.setLength(byteCount) }
        try file.synchronize()
        try folder.rename(temporary, to: name)
        isCommitted = true
        try folder.synchronize()
        return "\(session)/\(name)"
    }
}

extension Spool {
    /// What stages, or whoever `stage` names, wrote in a session's folder, by number.
    package func files(
        session: String, by stage: String
    ) throws(StorageFailure) -> [(sequence: Int, relative: String)] {
        try names(session: session).compactMap { text in
            guard let name = SpoolName(text), name.kind == stage[...] else { return nil }
            return (name.sequence, "\(session)/\(text)")
        }
    }

    /// The recorded bytes that lie in a session's folder, by number; several may have one number, of which
    /// the log describes at most one.
    package func recorded(session: String) throws(StorageFailure) -> [(sequence: Int, relative: String)] {
        // "upload" is what the builds before this one called what came over HTTP.
        try files(session: session, by: SpoolName.raw) + files(session: session, by: "upload")
    }

    /// Seconds since a file was written to last; nil when there is none.
    package func ageSeconds(of relative: String) throws(StorageFailure) -> Int? {
        let (session, file, _) = try Self.parts(of: relative)
        return try folders.folder(ChunkPath.folder(session))?.status(file).map {
            max(0, time(nil) - $0.st_mtim.tv_sec)
        }
    }

    /// The numbers of chunks that somebody began to write with a number, and has not committed or given up.
    package func begun(session: String) throws(StorageFailure) -> [Int] {
        try names(session: session).compactMap(SpoolWriter.number(begunAs:))
    }
}
