internal import Base
public import Recording
public import Vault

/// What those who died, or lost, have left in the spool of a session that goes on. It goes when it is old
/// enough that nobody can be about to record it; what it says of bytes that are missing is noted before.
public struct SpoolLeftovers {
    private let spool: Spool
    private let state: SessionState
    private let ageSeconds: Int

    /// Those of a session.
    /// - Parameters:
    ///   - state: what the log says of it; all of its history can be read.
    ///   - ageSeconds: files are left alone for longer than whoever wrote them needs to learn that they will
    ///     not be recorded.
    public init(_ spool: Spool, _ state: SessionState, ageSeconds: Int) {
        self.spool = spool
        self.state = state
        self.ageSeconds = ageSeconds
    }

    /// Removes them; each is said by its path.
    public func remove(telling told: (String) -> Void) throws(StorageFailure) {
        let session = state.sessionID
        try HeldChunks(spool, session).settle(state)
        for file in try spool.recorded(session: session)
        where file.sequence <= state.chunkCount
            && !state.isRecorded(from: file.relative, as: file.sequence)
        {
            // The log has this number from another file: no event can ever name this one.
            guard let age = try spool.ageSeconds(of: file.relative), age >= ageSeconds else { continue }
            try spool.purge(file.relative, of: session)
            told(file.relative)
        }
        try spool.sweepTemporaries(of: session, olderThanSeconds: ageSeconds) {
            file, sequence throws(StorageFailure) in
            // An upload that was begun, and cut off with its process.
            if let sequence, sequence > state.chunkCount { try StreamNotes(spool, session).lacks(sequence) }
            told(file)
        }
    }
}
