public import EventSourcing
public import Vault
internal import Recording

/// Why a session cannot be given back whole.
public enum ExportFailure: Error, CustomStringConvertible {
    /// The log has no such session.
    case notFound(String)
    /// The session was deleted: its key and its files are removed.
    case deleted(String)
    /// A chunk is not stored yet, or was given up.
    case unfinished(chunk: Int, of: Int)
    /// The session's history holds what cannot be read, so that nobody knows whether this is all of it.
    case unreadable(session: String, UnreadableHole)
    /// A chunk's file is missing or damaged.
    case damaged(path: String, text: String)

    /// What happened, in a sentence.
    public var description: String {
        switch self {
        case .notFound(let session): "there is no session \(session)"
        case .deleted(let session): "session \(session) was deleted, its key and files with it"
        case .unfinished(let chunk, let count): "chunk \(chunk) of \(count) is not stored yet"
        case .unreadable(let session, let hole):
            "session \(session) may be more than what is known of it: \(hole)"
        case .damaged(let path, let text): "\(path): \(text)"
        }
    }
}

/// Gives back the recorded bytes of a session, each chunk verified before it is handed out. One thread.
public final class SessionExporter {
    private let store: any EventStore
    private let chunks: ChunkStore
    private let keys: SessionKeys
    private let opener = Opener()
    private let image = ScratchBuffer()
    private let original = ScratchBuffer()

    /// An exporter.
    public init(store: any EventStore, chunks: ChunkStore, keys: SessionKeys) {
        self.store = store
        self.chunks = chunks
        self.keys = keys
    }

    /// Hands out the session's chunks in order.
    /// - Parameter body: gets the original bytes, and how many bytes there are in all.
    public func export(
        _ session: String, _ body: (UnsafeRawBufferPointer, _ totalBytes: Int) throws -> Void
    ) throws {
        guard let history = try SessionHistory(of: session, in: store) else {
            throw ExportFailure.notFound(session)
        }
        guard history.state.status != .deleted else { throw ExportFailure.deleted(session) }
        if let hole = history.hole, !history.isWhole {
            throw ExportFailure.unreadable(session: session, hole)
        }
        let total = history.hole == nil ? history.state.chunkCount : history.stored.count
        for (index, stored) in history.stored.enumerated()
        where stored.chunk.sequenceNumber != index + 1 {
            throw ExportFailure.unfinished(chunk: index + 1, of: total)
        }
        guard history.stored.count == total else {
            throw ExportFailure.unfinished(chunk: history.stored.count + 1, of: total)
        }
        let key = try keys.key(ofSession: session)
        for stored in history.stored {
            do {
                try chunks.read(session: session, sequence: stored.chunk.sequenceNumber, into: image)
                let identity = try ChunkIdentity(
                    chunkID: stored.chunk.chunkID, sessionID: session,
                    sequenceNumber: stored.chunk.sequenceNumber)
                try image.withBytes { bytes throws(SealFailure) in
                    _ = try opener.open(
                        bytes, key: key, expecting: identity,
                        contentDigest: Digest(hex: stored.content.digest),
                        maximumOriginalBytes: stored.content.sizeBytes, into: original)
                }
            } catch { throw ExportFailure.damaged(path: stored.path ?? "?", text: "\(error)") }
            try original.withBytes { try body($0, history.state.sizeBytes) }
        }
    }
}
