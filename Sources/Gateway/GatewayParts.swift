public import EventSourcing
public import Metrics
public import Recording
public import Vault

/// The data keys of sessions. Calls block and come from several threads.
public protocol SessionKeyAccess: Sendable {
    /// Makes a session's key and keeps it durably; a session that has one keeps that.
    func makeKey(forSession session: String, at time: Timestamp) throws -> SessionKey
    /// A session's key.
    func key(ofSession session: String) throws -> SessionKey
}

/// What a gateway is put together from.
public struct GatewayParts: Sendable {
    /// The event log.
    public var log: any EventLog
    /// The read models.
    public var queries: any RecordingQueries
    /// Who follows the log and knows how far each session has come; nil: the log is asked at each read.
    public var follower: (any LatestVersions)?
    /// Who is who.
    public var authenticator: any Authenticator
    /// The sessions' keys.
    public var keys: any SessionKeyAccess
    /// Recorded chunks that are not stored yet.
    public var spool: Spool
    /// Sealed files.
    public var chunks: ChunkStore
    /// Refuses new recordings before a disk is full; nil: nobody looks.
    public var diskGuard: DiskGuard?
    /// The time.
    public var clock: any WallClock
    /// Where figures go.
    public var metrics: MetricsRegistry

    /// Parts without a follower and a disk guard.
    public init(
        log: any EventLog, queries: any RecordingQueries, authenticator: any Authenticator,
        keys: any SessionKeyAccess, spool: Spool, chunks: ChunkStore, clock: any WallClock,
        metrics: MetricsRegistry
    ) {
        self.log = log
        self.queries = queries
        self.authenticator = authenticator
        self.keys = keys
        self.spool = spool
        self.chunks = chunks
        self.clock = clock
        self.metrics = metrics
    }
}

/// What a gateway can be told.
public struct GatewaySettings: Sendable {
    /// Largest chunk that may be uploaded, in bytes; also what new sessions are told to cut.
    public var chunkBytes = 10 << 20
    /// Sessions whose answers are kept in memory.
    public var answersKept = 20_000
    /// Whether `/metrics` is answered to anybody.
    public var openMetrics = true

    /// The defaults.
    public init() {}
}
