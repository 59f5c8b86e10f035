package import Files
internal import Glibc
internal import Base

/// Short texts that processes leave for each other in a session's folder of the spool: `.<name>`. They are
/// whole or not there, outlive the process that wrote them, and go with the folder; a power cut may take
/// them.
package struct SpoolNotes: Sendable {
    private static let mark = "."
    private static let maximumBytes = 256

    private let folders: FileTree
    private let session: String

    fileprivate init(_ folders: FileTree, _ session: String) {
        self.folders = folders
        self.session = session
    }

    /// Whether a file in a session's folder is a note.
    static func isNote(_ name: String) -> Bool {
        name.hasPrefix(mark) && !name.hasPrefix(FileTree.temporaryPrefix)
    }

    /// A name, or a part of one, that nobody else has.
    package static func newName() -> String { Identifier.random(prefix: "", bytes: 8) }

    /// The names of all notes, sorted.
    package func names() throws(StorageFailure) -> [String] {
        try folders.names(in: ChunkPath.folder(session)).filter(\.isText).map(\.text).filter(Self.isNote)
            .map { String($0.dropFirst()) }
    }

    /// The text of a note; nil when there is none.
    package func read(_ name: String) throws(StorageFailure) -> String? {
        do throws(StorageFailure) {
            guard let folder = try folders.folder(ChunkPath.folder(session)) else { return nil }
            let file = try folder.openForReading(file(name))
            return String(decoding: try file.readBytes(Self.maximumBytes), as: UTF8.self)
        } catch {
            if error.isMissing { return nil }
            throw error
        }
    }

    /// Leaves a note, or replaces it.
    /// - Parameter text: at most 256 bytes.
    /// - Throws: a failure that `isMissing` where the session has no folder.
    package func write(_ name: String, _ text: String) throws(StorageFailure) {
        let final = try file(name)
        let folder = try folders.folder(ChunkPath.folder(session), with: final)
        let temporary = FileTree.temporaryName()
        let buffer = ScratchBuffer()
        buffer.append(Array(text.utf8.prefix(Self.maximumBytes)))
        do throws(StorageFailure) {
            let file = try folder.create(temporary, mode: folders.fileMode)
            try buffer.withBytes { bytes throws(StorageFailure) in try file.writeAll(bytes) }
            try folder.rename(temporary, to: final)
        } catch {
            // The first failure is the one to report; a name left over is swept later.
            _ = try? folder.remove(temporary)
            throw error
        }
    }

    /// Seconds since a note was left; nil when there is none.
    package func ageSeconds(of name: String) throws(StorageFailure) -> Int? {
        try folders.folder(ChunkPath.folder(session))?.status(file(name)).map {
            max(0, time(nil) - $0.st_mtim.tv_sec)
        }
    }

    /// Takes a note away; nothing happens where there is none.
    package func remove(_ name: String) throws(StorageFailure) {
        try folders.folder(ChunkPath.folder(session))?.remove(file(name))
    }

    private func file(_ name: String) throws(StorageFailure) -> String {
        guard Identifier.isValid(name), !(Self.mark + name).hasPrefix(FileTree.temporaryPrefix)
        else { throw .invalidIdentifier(name) }
        return Self.mark + name
    }
}

extension Spool {
    /// The notes about a session.
    package func notes(of session: String) -> SpoolNotes { SpoolNotes(folders, session) }

    /// Makes a session's folder, for notes.
    package func makeFolder(of session: String) throws(StorageFailure) {
        _ = try folders.prepare(ChunkPath.folder(session))
    }
}
