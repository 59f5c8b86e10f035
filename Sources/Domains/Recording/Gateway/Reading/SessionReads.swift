internal import Access
internal import Base
internal import EventSourcing
internal import HTTPServer
internal import Recording
internal import ReadModels

/// A session as it is answered, ready to be sent.
struct SessionAnswer: Sendable {
    /// Sequence of the last event that is sure to be in it.
    let version: UInt64
    /// Where it is in its life.
    let status: SessionStatus
    /// The facts that it agrees with.
    let facts: SessionFacts
    /// The version of what is answered.
    let etag: EntityTag
    /// The JSON text for those who may not know which cases hold the session.
    private let body: [UInt8]
    private let withHolds: BodyWithHolds

    /// - Parameters:
    ///   - facts: that it agrees with; nil for those that are in it, when it comes from the log.
    ///   - version: up to which it is sure to be complete; nil for its own, when it comes from the log.
    init(_ view: SessionView, facts: SessionFacts? = nil, version: UInt64? = nil) {
        self.version = version ?? view.version
        status = view.status
        self.facts = facts ?? SessionFacts(view)
        etag = SessionTag(version: view.version, description: SessionDescription(view).tag).etag
        var writer = JSONWriter(reserving: 1536)
        view.encode(into: &writer)
        body = writer.bytes
        withHolds = BodyWithHolds(view.holds)
    }

    /// What somebody is answered who may see the session.
    func response(to subject: Subject, status: Int = 200, headers: [HeaderField] = []) -> Response {
        let bytes = subject.may(.readHolds) ? withHolds.bytes(behind: body) : body
        return .json(bytes, status: status, etag: etag, headers: headers)
    }
}

/// The JSON text for those who may know which cases hold a session: made for the first of them.
private final class BodyWithHolds: Sendable {
    private let holds: [LegalHold]
    private let made = Lock<[UInt8]?>(nil)

    init(_ holds: [LegalHold]) { self.holds = holds }

    func bytes(behind body: [UInt8]) -> [UInt8] {
        made.withLock { made in
            if let made { return made }
            var writer = JSONWriter()
            writer.object { json in
                json.key("holds")
                json.array { list in for hold in holds { hold.encode(into: &list) } }
            }
            // One object out of two, neither of which is empty.
            let bytes = Array(body.dropLast()) + [UInt8(ascii: ",")] + writer.bytes.dropFirst()
            made = bytes
            return bytes
        }
    }
}

/// Reads single sessions: from memory while nothing has happened to them, from the read models where
/// these are not behind and describe the session as the log does, else from the log. So whoever has changed a
/// session here sees the change at once; what another gateway has changed is seen when the process's reader
/// of the log has come to it.
final class SessionReads: Sendable {
    private let queries: any RecordingQueries
    private let versions: SessionVersions
    private let access: SessionAccess
    private let folds: SessionFolds
    private let contradictions: Contradictions
    private let answers: SharedCache<String, SessionAnswer>

    init(
        _ queries: any RecordingQueries, _ versions: SessionVersions, _ access: SessionAccess,
        _ folds: SessionFolds, _ contradictions: Contradictions, answersKept: Int
    ) {
        self.queries = queries
        self.versions = versions
        self.access = access
        self.folds = folds
        self.contradictions = contradictions
        answers = SharedCache(limit: answersKept)
    }

    /// The session, ready to be sent; nil when there is none, or no longer.
    func answer(_ session: String) throws -> SessionAnswer? {
        let version = try versions.version(of: session)
        if let kept = answers[session], kept.version >= version { return kept }
        guard version > 0, let answer = try make(session, atLeast: version) else { return nil }
        answers[session] = answer
        return answer
    }

    private func make(_ session: String, atLeast version: UInt64) throws -> SessionAnswer? {
        if let (view, facts) = try shown(session, atLeast: version) {
            return SessionAnswer(view, facts: facts, version: version)
        }
        return try logged(session).map { SessionAnswer($0) }
    }

    /// The session, ready to be sent, where that takes no question to anybody; never blocks.
    func kept(_ session: String) -> SessionAnswer? {
        guard let version = versions.known(of: session), let kept = answers[session],
            kept.version >= version
        else { return nil }
        return kept
    }

    /// Keeps the answer about a session that was made here just now, so that nobody has to be asked.
    func adopt(_ history: [RecordedEvent]) throws {
        guard let first = history.first, first.sequence == 1,
            var fold = SessionFold(try RecordingEvent(first), EventStamp(first))
        else { return }
        for event in history.dropFirst() { fold.evolve(try RecordingEvent(event), EventStamp(event)) }
        // What the command has made known need not be made again.
        answers[fold.sessionID] = SessionAnswer(fold.session, facts: access.known(of: fold.sessionID))
    }

    /// The session; nil when there is none, or no longer.
    func session(_ id: String) throws -> SessionView? {
        let version = try versions.version(of: id)
        guard version > 0 else { return nil }
        return try shown(id, atLeast: version)?.view ?? logged(id)
    }

    /// The session as the log has it; nil when there is none, or no longer.
    func logged(_ id: String) throws -> SessionView? {
        let session = try folds.fold(of: id)?.session
        return session?.status == .deleted ? nil : session
    }

    /// The session's pipeline.
    func pipeline(_ session: String, from source: ReadSource) throws -> PipelineView? {
        let version = try versions.version(of: session)
        if source == .models, let view = modelled({ try queries.pipeline(ofSession: session) }),
            view.version >= version
        {
            return view
        }
        return try folds.fold(of: session)?.pipeline.view
    }

    /// The session's statistics.
    func statistics(_ session: String, from source: ReadSource) throws -> SessionStatisticsResponse? {
        if source == .models, try areModelsCurrent(for: session),
            let statistics = modelled({ try queries.statistics(ofSession: session) })
        {
            return statistics
        }
        return try folds.fold(of: session).map(SessionStatisticsResponse.init)
    }

    /// Whether the read models have all of the session's events that are known of.
    func areModelsCurrent(for session: String) throws -> Bool {
        let version = try versions.version(of: session)
        return (modelled { try queries.session(session) }?.version ?? 0) >= version
    }

    /// What the read models show of a session, where that is not behind and the log's facts say the same.
    private func shown(
        _ session: String, atLeast version: UInt64
    ) throws -> (view: SessionView, facts: SessionFacts)? {
        guard let facts = access.known(of: session),
            let view = modelled({ try queries.session(session) }), view.version >= version
        else { return nil }
        if view.sessionID == session, facts.agreement(with: view) == .same { return (view, facts) }
        contradictions.note(view, asked: session, try folds.fold(of: session)?.session)
        return nil
    }

    /// What the read models say; nil also while they cannot be asked, because the log can.
    private func modelled<View>(_ query: () throws -> View?) -> View? { (try? query()) ?? nil }
}
