internal import Base
internal import EventSourcing
internal import Intake
internal import Recording

/// What all handlers share.
final class Core: Sendable {
    let parts: GatewayParts
    let settings: GatewaySettings
    let store: StorePool
    let versions: SessionVersions
    let access: SessionAccess
    let contradictions: Contradictions
    let desk: SessionDesk
    let reads: SessionReads
    let lists: SessionLists
    let chunks: ChunkReads
    let content: SessionContentCache
    let streamsOfContent: ContentStreams
    let marks: RecorderMarks
    let viewings = Viewings()
    let totals = Totals()
    let streams = LiveStreams()
    let intake: ChunkIntake

    init(_ parts: GatewayParts, _ settings: GatewaySettings) throws(LogFailure) {
        self.parts = parts
        self.settings = settings
        store = try StorePool(parts.log)
        versions = SessionVersions(store, follower: parts.follower)
        let folds = SessionFolds(store)
        access = SessionAccess(parts.directory, folds)
        contradictions = Contradictions(parts.onContradiction)
        desk = SessionDesk(store, parts.clock, versions, access)
        reads = SessionReads(
            parts.queries, versions, access, folds, contradictions, answersKept: settings.answersKept)
        lists = SessionLists(parts.queries, access, folds, contradictions)
        chunks = ChunkReads(
            parts.queries, store, reads, versions, listBytesKept: settings.chunkListBytesKept)
        content = SessionContentCache(store, bytesKept: settings.contentBytesKept)
        streamsOfContent = ContentStreams(limit: settings.mediaStreams)
        marks = RecorderMarks(
            parts.log, parts.clock, lifetimeMilliseconds: settings.uploaderSeconds * 1000)
        var limits = settings.intake
        limits.chunkBytes = settings.chunkBytes
        intake = ChunkIntake(
            log: desk, spool: parts.spool, clock: parts.clock, diskGuard: parts.diskGuard, limits: limits)
    }

    var queries: any RecordingQueries { parts.queries }
    func now() -> Timestamp { parts.clock.now() }
}
