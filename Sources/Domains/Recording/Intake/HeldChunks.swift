internal import Base
internal import Recording
internal import ChunkFiles
internal import Files

/// The chunks of a session that wait in the spool for one that precedes them.
struct HeldChunks {
    /// What a file that tells of one turns out to be.
    enum Note {
        case chunk(HeldChunk)
        /// Nothing that this wrote.
        case spoiled
        /// Another process has taken it just now.
        case gone
    }

    private static let maximumBytes = 64 << 10

    let spool: Spool
    let session: String

    init(_ spool: Spool, _ session: String) { (self.spool, self.session) = (spool, session) }

    /// The files that tell of them, by number.
    func files() throws(StorageFailure) -> [(sequence: Int, relative: String)] {
        try spool.files(session: session, by: HeldChunk.kind)
    }

    func read(_ path: String) throws(StorageFailure) -> Note {
        let buffer = ScratchBuffer()
        do throws(StorageFailure) {
            try spool.read(path, into: buffer, maximumBytes: Self.maximumBytes)
        } catch {
            guard error.isMissing else { throw error }
            return .gone
        }
        return HeldChunk(buffer.copyBytes(), session: session).map(Note.chunk) ?? .spoiled
    }

    /// Leaves word of a chunk whose bytes are durable.
    /// - Returns: the file that tells of it.
    func add(_ chunk: ChunkEvent.Recorded) throws(StorageFailure) -> String {
        let buffer = ScratchBuffer()
        buffer.append(HeldChunk(chunk).bytes)
        return try buffer.withBytes { bytes throws(StorageFailure) in
            try spool.write(
                bytes, by: HeldChunk.kind, of: chunk.spoolPath, sequence: chunk.chunk.sequenceNumber)
        }
    }

    func chunk(_ number: Int) throws(StorageFailure) -> ChunkEvent.Recorded? {
        for file in try files() where file.sequence == number {
            if case .chunk(let held) = try read(file.relative) { return held.recorded }
        }
        return nil
    }

    /// How many numbers have a chunk that waits.
    func count(behind state: SessionState) throws(StorageFailure) -> Int {
        Set(try files().map(\.sequence).filter { $0 > state.chunkCount }).count
    }

    /// Whether one waits, or waited and is not what was recorded under its number, or nobody can say.
    func isAnyMissing(in state: SessionState) throws(StorageFailure) -> Bool {
        for file in try files() {
            if file.sequence > state.chunkCount { return true }
            switch try read(file.relative) {
            case .chunk(let held): if !state.holds(held.recorded) { return true }
            case .spoiled: return true
            case .gone: break
            }
        }
        return false
    }

    /// The one whose turn has come. What is said of those before it goes.
    func next(behind state: SessionState) throws(StorageFailure) -> (held: HeldChunk, path: String)? {
        try settle(state)
        for file in try files() where file.sequence == state.chunkCount + 1 {
            if case .chunk(let held) = try read(file.relative) { return (held, file.relative) }
        }
        return nil
    }

    /// Takes away what is said of chunks whose number the log has: they were recorded, and whoever did that
    /// died before this went; or another has their number, which makes the recording incomplete for good.
    func settle(_ state: SessionState, olderThanSeconds age: Int = 0) throws(StorageFailure) {
        for file in try files() where file.sequence <= state.chunkCount {
            if age > 0, try spool.ageSeconds(of: file.relative).map({ $0 < age }) ?? true { continue }
            switch try read(file.relative) {
            case .chunk(let held): if !state.holds(held.recorded) { try giveUp(held) }
            case .spoiled: try StreamNotes(spool, session).lacksForGood()
            case .gone: continue
            }
            _ = try? spool.remove(file.relative)
        }
    }

    /// A chunk whose sender was told that it waits will never be recorded. That is noted before it goes.
    func giveUp(_ held: HeldChunk) throws(StorageFailure) {
        try StreamNotes(spool, session).lacksForGood()
        _ = try? spool.remove(held.recorded.spoolPath)
    }
}
