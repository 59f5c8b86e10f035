package import APIKit
package import Base
package import Engine
package import EventSourcing
package import Intake
package import Recording
package import ChunkFiles
package import Sealing

/// The data keys of sessions. Calls block and come from several threads.
package protocol SessionKeyAccess: Sendable {
    /// Makes a session's key and keeps it durably; a session that has one keeps that.
    func makeKey(forSession session: String, at time: Timestamp) throws -> SessionKey
    /// A session's key.
    func key(ofSession session: String) throws -> SessionKey
}

/// What a gateway is put together from.
package struct GatewayParts: Sendable {
    /// The event log.
    package var log: any EventLog
    /// The read models.
    package var queries: any RecordingQueries
    /// Who follows the log and knows how far each session has come; nil: the log is asked at each read.
    package var follower: (any LatestVersions)?
    /// Whose every session is; nil: the log is asked at each read.
    package var directory: (any SessionFactsDirectory)?
    /// Is told, once for each session, that the read models contradict the log.
    package var onContradiction: @Sendable (String) -> Void = { _ in }
    /// Who reads the log for those who follow its events; nil: nobody, and there are no streams.
    package var feed: LiveFeed?
    /// Who is who.
    package var authenticator: any Authenticator
    /// The sessions' keys.
    package var keys: any SessionKeyAccess
    /// Recorded chunks that are not stored yet.
    package var spool: Spool
    /// Sealed files.
    package var chunks: ChunkStore
    /// Refuses new recordings before a disk is full; nil: nobody looks.
    package var diskGuard: DiskGuard?
    /// What errors become.
    package var errors = ErrorAnswers.recording
    /// Counts requests; nil: nobody does.
    package var limiter: (any RateLimiter)?
    /// Where records of who did what go; nil: nowhere.
    package var audit: (any AuditWriter)?
    /// Where such records are read; nil: nowhere.
    package var auditQueries: (any AuditQueries)?
    /// Where the passwords of desktops go; nil: sessions with one are refused.
    package var passwords: (any PasswordWriter)?
    /// The time.
    package var clock: any WallClock
    /// Whether their tag still keeps sessions from being deleted as a case would (`HoldTag`).
    package var tagCounts: @Sendable () throws -> Bool = { false }

    /// Parts without those that may be absent.
    package init(
        log: any EventLog, queries: any RecordingQueries, authenticator: any Authenticator,
        keys: any SessionKeyAccess, spool: Spool, chunks: ChunkStore, clock: any WallClock
    ) {
        self.log = log
        self.queries = queries
        self.authenticator = authenticator
        self.keys = keys
        self.spool = spool
        self.chunks = chunks
        self.clock = clock
    }
}

/// What a process with roles is configured to do.
package struct ProcessConfiguration: Sendable {
    /// The process's roles.
    package var roles: [String] = []
    /// The stages of processing that it works on, in their order.
    package var stages: [String] = []
    /// Threads for each chain of stages.
    package var workers = 0
    /// Whether chunks go from stage to stage in memory.
    package var isChaining = true
    /// Partitions of the log.
    package var partitions = 0
    /// Compression levels by codec, for those that have any.
    package var compressionLevels: [(codec: String, level: Int)] = []
    /// What is not known.
    package init() {}
}

/// What a gateway can be told.
package struct GatewaySettings: Sendable {
    /// Largest chunk that may be uploaded, in bytes; also what new sessions are told to cut.
    package var chunkBytes = 10 << 20
    /// The services' descriptions (OpenAPI 3.1 in JSON); where there is none, none is answered.
    package var documents: [GatewayService: [UInt8]] = [:]
    /// What the process is configured to do, as far as it is told to operators.
    package var configuration = ProcessConfiguration()
    /// How many requests of each kind a subject has in a minute.
    package var rates = RateLimits()
    /// Sessions whose answers are kept in memory.
    package var answersKept = 20_000
    /// Bytes of lists of chunks that are kept in memory.
    package var chunkListBytesKept = 64 << 20
    /// Bytes of what the log says of sessions' content that are kept in memory.
    package var contentBytesKept = 64 << 20
    /// Recordings that are sent at once; each holds a chunk in memory.
    package var mediaStreams = 32
    /// A recording whose uploader is not heard of for so long is taken for lost, and stopped as incomplete
    /// by the recorder watch some 25 s later.
    package var uploaderSeconds = 30
    /// How much is taken in at once, and how long it waits; of chunks' size `chunkBytes` decides.
    package var intake = IntakeLimits()
    /// The defaults.
    package init() {}
}
