internal import ChunkFiles
internal import APIKit
internal import EventSourcing
internal import Intake
internal import Recording
internal import Engine

/// Every path of the services: each resource with what it needs.
struct Resources: Sendable {
    let intake: ChunkIntake
    private let collection: SessionCollection
    private let session: SessionResource
    private let control: SessionControl
    private let holds: HoldResource
    private let chunks: ChunkResource
    private let media: Media
    private let pipeline: PipelineResource
    private let statistics: StatisticsResource
    private let events: EventsResource
    private let audit: AuditTrailResource
    private let manager: PipelineManager
    private let recorder: RecorderService

    init(
        _ parts: GatewayParts, _ settings: GatewaySettings, _ contradictions: Contradictions,
        _ streams: LiveStreams
    ) throws(LogFailure) {
        let store = try StorePool(parts.log)
        let versions = SessionVersions(store, follower: parts.follower)
        let folds = SessionFolds(store)
        let access = SessionAccess(parts.directory, folds)
        let commands = SessionCommands(store, parts.clock, versions, access)
        let reads = SessionReads(
            parts.queries, versions, access, folds, contradictions, answersKept: settings.answersKept)
        let service = SessionService(commands: commands, reads: reads, access: access, clock: parts.clock)
        let marks = RecorderMarks(
            parts.log, parts.clock, lifetimeMilliseconds: settings.uploaderSeconds * 1000)
        var limits = settings.intake
        limits.chunkBytes = settings.chunkBytes
        intake = ChunkIntake(
            log: commands, spool: parts.spool, clock: parts.clock, diskGuard: parts.diskGuard,
            limits: limits)
        collection = SessionCollection(
            service: service, intake: intake, passwords: parts.passwords,
            lists: SessionLists(parts.queries, access, folds, contradictions),
            chunkBytes: settings.chunkBytes)
        session = SessionResource(service: service, tagCounts: parts.tagCounts)
        control = SessionControl(service: service, intake: intake, marks: marks, keys: parts.keys)
        holds = HoldResource(service: service)
        let content = ContentService(
            service: service, cache: SessionContentCache(store, bytesKept: settings.contentBytesKept),
            streams: ContentStreams(limit: settings.mediaStreams), chunks: parts.chunks, keys: parts.keys)
        let uploads = UploadService(service: service, intake: intake, marks: marks, keys: parts.keys)
        chunks = ChunkResource(
            service: service, content: content, uploads: uploads,
            chunks: ChunkReads(
                parts.queries, store, reads, versions, listBytesKept: settings.chunkListBytesKept),
            chunkBytes: settings.chunkBytes)
        media = Media(content: content)
        pipeline = PipelineResource(service: service)
        let totals = Totals(parts.queries, parts.clock)
        statistics = StatisticsResource(service: service, totals: totals, chunkStore: parts.chunks.root)
        events = EventsResource(
            service: service, store: store, versions: versions, feed: parts.feed, streams: streams)
        audit = AuditTrailResource(queries: parts.auditQueries)
        manager = PipelineManager(
            service: service, collection: collection, control: control, pipeline: pipeline,
            chunks: chunks, spool: parts.spool, configuration: ConfigurationAnswer(settings))
        recorder = RecorderService(
            service: service, collection: collection, session: session, control: control,
            chunks: chunks, uploads: uploads, intake: intake, marks: marks, totals: totals,
            levels: settings.configuration.compressionLevels)
    }

    /// The endpoints of a service.
    func endpoints(of service: GatewayService) -> [Endpoint] {
        switch service {
        case .api:
            collection.endpoints + session.endpoints + control.endpoints + holds.endpoints
                + chunks.endpoints + media.endpoints + pipeline.endpoints + statistics.endpoints
                + events.endpoints + audit.endpoints
        case .pipeline: manager.endpoints
        case .recorder: recorder.endpoints
        }
    }
}
