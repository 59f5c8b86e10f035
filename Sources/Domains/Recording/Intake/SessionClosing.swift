internal import Base
internal import Supervision
internal import ChunkFiles
internal import Files

/// A session that is about to be stopped: what that finds, and the note that says so to others meanwhile.
///
/// A chunk that waits leaves no event, so that the log can't tell whoever stops the session of one that came
/// just now. Whoever takes such a chunk looks for this note when the chunk lies there, and whoever stops
/// looks for such chunks when the note lies there: one of them sees the other.
package final class SessionClosing {
    /// After so long others may have taken the one who stops for dead.
    private static let trustedSeconds = 20

    private let notes: StreamNotes
    private let since = Machine.now
    /// Nil where the disk took no note.
    private let name: String?
    var isLacking = true

    init(_ spool: Spool, _ session: String) {
        notes = StreamNotes(spool, session)
        do throws(StorageFailure) {
            try spool.makeFolder(of: session)
            name = try notes.close()
        } catch { name = nil }
    }

    deinit { end() }

    /// Whether the session is to be stopped as incomplete: bytes that were begun to be sent, or promised, are
    /// missing, or nobody can say. To be asked right before the stop is appended.
    package var isIncomplete: Bool {
        guard !isLacking, let name, !isOld else { return true }
        // Where the disk takes no notes, another process may know what it could not write.
        return (try? notes.has(name)) != true
    }

    /// Whether it was found too long ago to be relied on.
    package var isOld: Bool { Machine.now - since >= .seconds(Self.trustedSeconds) }

    /// It is stopped, or goes on.
    package func end() { if let name { try? notes.remove(closing: name) } }
}
