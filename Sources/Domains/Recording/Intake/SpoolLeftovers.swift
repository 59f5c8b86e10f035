internal import Base
package import Recording
package import ChunkFiles
package import Files

/// What those who died, or lost, have left in the spool of a session that goes on. It goes when it is old
/// enough that nobody can be about to record it; what it says of bytes that are missing is noted before.
package struct SpoolLeftovers {
    private let spool: Spool
    private let session: String
    private let state: SessionState
    private let ageSeconds: Int

    /// Those of a session.
    /// - Parameters:
    ///   - state: what the log says of it.
    ///   - ageSeconds: files are left alone for longer than whoever wrote them needs to learn that they will
    ///     not be recorded.
    package init(_ spool: Spool, of session: String, _ state: SessionState, ageSeconds: Int) {
        self.spool = spool
        self.session = session
        self.state = state
        self.ageSeconds = ageSeconds
    }

    /// Removes what was not finished: nobody was told that it was taken. Each is said by its path.
    package func removeUnfinished(telling told: (String) -> Void) throws(StorageFailure) {
        try spool.sweepTemporaries(of: session, olderThanSeconds: ageSeconds) {
            file, sequence throws(StorageFailure) in
            // An upload that was begun, and cut off with its process.
            if let sequence, sequence > state.chunkCount { try StreamNotes(spool, session).lacks(sequence) }
            told(file)
        }
    }

    /// Removes what is whole, and what no event can name any more because the log has its number from another
    /// file. All of the session's history has to be readable.
    package func removeOvertaken(telling told: (String) -> Void) throws(StorageFailure) {
        let waiting = HeldChunks(spool, session)
        try waiting.settle(state, olderThanSeconds: ageSeconds)
        // What is said of one goes with it, and has to be settled before.
        let left = try Set(waiting.files().map(\.sequence))
        for file in try spool.recorded(session: session)
        where file.sequence <= state.chunkCount
            && !state.isRecorded(from: file.relative, as: file.sequence) && !left.contains(file.sequence)
        {
            guard let age = try spool.ageSeconds(of: file.relative), age >= ageSeconds else { continue }
            try spool.purge(file.relative, of: session)
            told(file.relative)
        }
    }
}
