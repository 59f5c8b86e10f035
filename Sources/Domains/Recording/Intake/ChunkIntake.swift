package import Base
internal import EventSourcing
package import Recording
package import Supervision
package import ChunkFiles
internal import Files

/// How much a process takes in at once, and for how long it waits.
package struct IntakeLimits: Sendable {
    /// Largest chunk, in bytes.
    package var chunkBytes = 10 << 20
    /// A stream's chunk that is not full is closed after so long, whether or not more comes, so that it is in
    /// the log within ten seconds of its first byte: that much a process takes with it that dies.
    package var chunkMilliseconds = 8000
    /// Chunks of a session that may be recorded and not yet stored.
    package var chunksAhead = 64
    /// Bytes of a session that may be recorded and not yet stored.
    package var bytesAhead = 1 << 30
    /// How long a stream waits for room before its sender is sent away; nil for as long as it takes.
    package var roomMilliseconds: Int? = 10_000
    /// How long the log may be away before a stream is given up.
    package var logMilliseconds = 10_000
    /// How long a stream is held whose recording is paused.
    package var pausedSeconds = 3600
    /// How long other processes are waited for that have to record what they hold of a stream.
    package var handoverMilliseconds = 2000
    /// Threads that look after streams; one that waits for a disk or the log holds up no other stream.
    package var lookers = 4

    /// The defaults.
    package init() {}
}

/// Takes chunks in, from whatever source: finds their place, puts their bytes into the spool and through the
/// digest, and has the log decide on them. One for each process; its streams are looked after by `run`.
///
/// - A chunk is durable in the spool before its event is appended, under a name that nobody else can have.
/// - A session has one stream at a time. Whoever opens another one takes over: what the first has in hand is
///   recorded, and its next bytes are refused, in whatever process they arrive.
/// - Each chunk of a stream carries the place that its writer believes in, and the log refuses it anywhere
///   else; so whatever has been held up, or cut off, never writes twice or over another's bytes.
package final class ChunkIntake: Sendable {
    let log: any IntakeLog
    let spool: Spool
    let clock: any WallClock
    let diskGuard: DiskGuard?
    /// How much is taken in at once.
    package let limits: IntakeLimits
    let streams = OpenStreams()
    let untold = UntoldLosses()

    /// An intake over its parts.
    /// - Parameter diskGuard: refuses chunks before a disk is full; nil: nobody looks.
    package init(
        log: any IntakeLog, spool: Spool, clock: any WallClock, diskGuard: DiskGuard?,
        limits: IntakeLimits = IntakeLimits()
    ) {
        self.log = log
        self.spool = spool
        self.clock = clock
        self.diskGuard = diskGuard
        self.limits = limits
    }

    /// Refuses to begin a recording while less is free than is kept in reserve, or the spool has no room for
    /// a chunk.
    /// - Throws: `DiskShortage`, `StorageFailure`.
    package func requireBeginning() throws {
        try requireReserve()
        try spool.requireRoom(for: limits.chunkBytes)
    }

    /// Refuses what is new while less is free on a disk than is kept in reserve.
    package func requireReserve() throws {
        if let room = try diskGuard?.tightest(), room.state != .open { throw DiskShortage(room) }
    }

    /// Looks after this process's open streams until `stop` is set. Blocks; call on a thread of its own.
    package func run(stop: StopSignal) throws {
        try streams.run(threads: limits.lookers, stop: stop) { [self] in tellLosses() }
    }

    // MARK: - Admission

    /// Refuses what would make the session larger than it may be, and anything while a disk is short.
    func requireRoom(for bytes: Int, in state: SessionState) throws {
        guard let description = state.description else { throw SessionRejection.notFound }
        let (total, isTooMuch) = state.sizeBytes.addingReportingOverflow(bytes)
        if let violation = description.storage.violation(ofBytes: isTooMuch ? .max : total) {
            throw IntakeRefusal.sizeLimit(violation)
        }
        if let room = try diskGuard?.tightest(), room.state == .closing { throw DiskShortage(room) }
    }

    /// Refuses more while too many chunks wait for the stages.
    func requireProgress(of state: SessionState) throws {
        let backlog = state.backlog
        guard backlog < limits.chunksAhead else { throw IntakeRefusal.backlog(chunks: backlog) }
    }

    static func requireRecording(_ state: SessionState) throws(SessionRejection) {
        guard state.status == .recording else { throw .noChunkTaken(by: state) }
    }

    /// A session that is paused goes on; one that is over takes nothing any more.
    static func requireUnfinished(_ state: SessionState) throws(SessionRejection) {
        guard state.status == .recording || state.status == .paused else { throw .noChunkTaken(by: state) }
    }

    // MARK: - What the spool lacks

    /// What a failure to write into the spool means. A session that is over has no folder any more, and
    /// whoever still writes learns that, and not what became of a file.
    func explained(_ error: any Error, of session: String) -> any Error {
        guard let failure = error as? StorageFailure, failure.isMissing,
            let state = try? log.look(at: session), ![.recording, .paused].contains(state.status)
        else { return error }
        return SessionRejection.noChunkTaken(by: state)
    }

    /// Runs `body`, and says of its failures what they mean for the session.
    func explaining<Answer>(_ session: String, _ body: () throws -> Answer) throws -> Answer {
        do { return try body() } catch { throw explained(error, of: session) }
    }

    /// Removes what no event describes, or can describe any more. It costs space, not truth, where it stays.
    func discard(_ path: String) { _ = try? spool.remove(path) }
}

extension SessionState {
    /// Chunks that are recorded and neither stored nor given up. Those that were given up wait for people;
    /// recording must not wait for them too.
    package var backlog: Int { chunkCount - merkleHashes.count - failures.count }
}

extension SessionRejection {
    /// The session was there when its chunk began to come, and is in a state now that takes none.
    static func noChunkTaken(by state: SessionState) -> SessionRejection {
        .wrongState(state.status ?? .deleted, command: "record a chunk")
    }
}
