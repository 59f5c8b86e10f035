package import Base
package import EventSourcing

/// What may be asked of a session.
package enum SessionCommand: Sendable, Hashable {
    /// Make it.
    case create(SessionEvent.Created)
    /// Replace parts of its description.
    case update(SessionEvent.Updated)
    /// Change what a client asks to be changed. With a tag, only of the description that has it.
    case change(UpdateSessionRequest, ifTag: String?)
    /// Ask for a recorder.
    case start
    /// A recorder begins.
    case begin
    /// A chunk is durable in the spool. With an offset it is a stream's next one, and whoever sent it
    /// believes that so many bytes were recorded before it.
    case recordChunk(ChunkEvent.Recorded, at: Int? = nil)
    /// Let recording rest.
    case pause
    /// Go on.
    case resume
    /// Record nothing more.
    case stop(SessionEvent.StopReason, incomplete: Bool)
    /// Wait for the last chunks.
    case process
    /// Close it with the root of its Merkle tree.
    case complete(merkleRoot: String)
    /// Give it up.
    case fail(error: String)
    /// Move its pipeline.
    case pipeline(PipelineTrigger)
    /// Remove it. With `tagCounts` its tag keeps it as a case does (`HoldTag`).
    case delete(tagCounts: Bool)
    /// Remove it if its retention has passed, which the session as it was looked at tells.
    case expire(SessionView, now: Timestamp, tagCounts: Bool)
    /// Give up what it still lacks: it fails.
    case giveUp(error: String)
    /// Hold it for a case.
    case hold(caseName: String, reason: String)
    /// Hold it for a case no longer; nil: for the one that holds it.
    case liftHold(caseName: String?, reason: String)
    /// Hold it for what its tag said.
    case takeOverTag
    /// The files of chunks of the deleted session, up to this number, are gone.
    case deleteChunks(through: Int)
    /// Someone takes out its data key.
    case exportKey(keyID: String)
    /// Keep what a verification has come to.
    case recordVerification(SessionEvent.Verified)
}

/// Why something may not happen to a session.
package enum SessionRejection: Error, Sendable, Hashable, CustomStringConvertible {
    /// There is no such session.
    case notFound
    /// A session of this id exists.
    case exists
    /// Its state does not allow it.
    case wrongState(SessionStatus, command: String)
    /// Fields that break rules.
    case invalid([Violation])
    /// Its pipeline's state, or its own, does not allow it.
    case wrongPipelineState(PipelineState, trigger: PipelineTrigger, session: SessionStatus)
    /// Its description is not the one that was to be changed.
    case changedMeanwhile
    /// Its chunk of this number is another one, or its id is another chunk's.
    case chunkTaken(number: Int)
    /// A chunk that is not the next one.
    case outOfOrder(expected: Int, got: Int)
    /// A chunk of a stream that has lost its place: somebody else has recorded what comes there.
    case outOfPlace(expected: StreamPlace, got: StreamPlace)
    /// Chunks are not stored yet.
    case unfinished(stored: Int, of: Int)
    /// Cases hold it.
    case held(cases: [String], command: String)
    /// No case of this name holds it; nil: none does.
    case notHeld(caseName: String?)
    /// Several cases hold it, and none was named.
    case severalHolds(cases: [String])
    /// As many cases hold it as may.
    case tooManyHolds

    /// What happened, in a sentence.
    package var description: String {
        switch self {
        case .notFound: "there is no such session"
        case .exists: "a session with this id exists already"
        case .wrongState(let status, let command): "a session that is \(status.rawValue) cannot \(command)"
        case .invalid(let violations): violations.map(\.description).joined(separator: "; ")
        case .wrongPipelineState(let pipeline, let trigger, let session):
            "a pipeline that is \(pipeline.rawValue) has no step \(trigger.rawValue) "
                + "while its session is \(session.rawValue)"
        case .changedMeanwhile: "the session was changed since it was read"
        case .chunkTaken(let number): "chunk \(number) is in the session already with another id or content"
        case .outOfOrder(let expected, let got): "chunk \(got) was given where \(expected) comes next"
        case .outOfPlace(let expected, let got):
            "the recording goes on at \(expected), not at \(got)"
        case .unfinished(let stored, let count): "only \(stored) of \(count) chunks are stored"
        case .held(let cases, let command):
            "a session under legal hold cannot \(command); "
                + (cases.count == 1 ? "one case holds it" : "\(cases.count) cases hold it")
        case .notHeld(let name?): "no case \(name) holds the session"
        case .notHeld(nil): "no case holds the session"
        case .severalHolds(let cases):
            "\(cases.count) cases hold the session; name one of them: " + cases.joined(separator: ", ")
        case .tooManyHolds: "\(LegalHold.maximumCases) cases hold the session, and no more may"
        }
    }
}

/// The rules of a session (DESIGN 3.2): its own state machine, and the pipeline's, which follows it.
package enum SessionDecider: Decider {
    /// Before the first event.
    package static let initial = SessionState()

    /// What happens when `command` is carried out.
    package static func decide(
        _ command: SessionCommand, _ state: SessionState
    ) throws(SessionRejection) -> [RecordingEvent] {
        if case .create(let payload) = command {
            guard state.status == nil else { throw .exists }
            let violations = payload.violations
            guard violations.isEmpty else { throw .invalid(violations) }
            return [.session(.created(payload))]
        }
        if case .deleteChunks(let last) = command { return try deleteChunks(through: last, state) }
        guard let status = state.status, status != .deleted else { throw .notFound }
        let id = state.sessionID
        func step(to next: SessionStatus, _ name: String) throws(SessionRejection) {
            guard status.canBecome(next) else { throw .wrongState(status, command: name) }
        }
        switch command {
        case .create, .deleteChunks: return []
        case .update(let change): return try update(change)
        case .change(let request, let tag): return try change(request, ifTag: tag, state)
        case .pipeline(let trigger): return try move(trigger, state, status)
        case .start:
            try step(to: .starting, "start")
            return [.session(.started(sessionID: id, status: .starting))] + pipeline(state, .start)
        case .begin:
            guard status == .starting else { throw .wrongState(status, command: "begin recording") }
            return [.session(.started(sessionID: id, status: .recording))] + pipeline(state, .startComplete)
        case .recordChunk(let chunk, let offset): return try record(chunk, at: offset, state, status)
        case .pause:
            try step(to: .paused, "pause")
            return [.session(.paused(sessionID: id))] + pipeline(state, .pause, .pauseComplete)
        case .resume:
            guard status == .paused else { throw .wrongState(status, command: "resume") }
            // A pipeline that somebody paused by itself goes on when somebody says so.
            return [.session(.resumed(sessionID: id))] + (state.isHeld ? [] : pipeline(state, .resume))
        case .stop(let reason, let incomplete):
            try step(to: .stopped, "stop")
            let stopped = SessionEvent.Stopped(
                sessionID: id, reason: reason, incomplete: incomplete, chunkCount: state.chunkCount,
                sizeBytes: state.sizeBytes)
            return [.session(.stopped(stopped))] + pipeline(state, .stop)
        case .process:
            try step(to: .processing, "be processed")
            return [.session(.processing(sessionID: id, chunkCount: state.chunkCount))]
        case .complete(let root): return try complete(root, state, status)
        case .fail(let error):
            try step(to: .failed, "fail")
            return [.session(.failed(sessionID: id, error: error))] + pipeline(state, .error)
        case .delete(let tagCounts):
            let cases = state.holdingCases(tagCounts: tagCounts)
            guard cases.isEmpty else { throw .held(cases: cases, command: "be deleted") }
            try step(to: .deleted, "be deleted")
            return [.session(.deleted(sessionID: id))] + pipeline(state, state.pipeline.wayToDestruction)
        case .expire(let view, let now, let tagCounts): return expire(view, now, tagCounts, state, status)
        case .giveUp(let error):
            guard state.legalHolds.isEmpty else {
                throw .held(cases: state.legalHolds, command: "be given up")
            }
            return try decide(.fail(error: error), state)
        case .hold, .liftHold, .takeOverTag: return try changeHolds(command, state)
        case .exportKey(let keyID): return [.session(.keyExported(sessionID: id, keyID: keyID))]
        case .recordVerification(let verified): return try recordVerification(verified, state, status)
        }
    }

    static func update(
        _ change: SessionEvent.Updated
    ) throws(SessionRejection) -> [RecordingEvent] {
        var rules = Rules()
        rules.length("name", change.name, 1...255)
        let violations =
            rules.violations + (change.recording?.violations ?? []) + (change.storage?.violations ?? [])
            + (change.metadata?.violations ?? [])
        guard violations.isEmpty else { throw .invalid(violations) }
        return [.session(.updated(change))]
    }

    /// By what holds now: the session may have got another retention, or a hold, since it was looked at.
    private static func expire(
        _ view: SessionView, _ now: Timestamp, _ tagCounts: Bool, _ state: SessionState,
        _ status: SessionStatus
    ) -> [RecordingEvent] {
        guard state.holdingCases(tagCounts: tagCounts).isEmpty, !state.isHeld else { return [] }
        var view = view
        view.status = status
        if let description = state.description {
            (view.storage, view.metadata) = (description.storage, description.metadata)
        }
        view.holds = []
        guard case .due = Retention.verdict(view, now: now, tagCounts: false) else { return [] }
        let way = pipeline(state, state.pipeline.wayToDestruction)
        return [.session(.deleted(sessionID: state.sessionID))] + way
    }

    private static func complete(
        _ root: String, _ state: SessionState, _ status: SessionStatus
    ) throws(SessionRejection) -> [RecordingEvent] {
        guard status == .processing else { throw .wrongState(status, command: "be completed") }
        guard state.isEverythingStored else {
            throw .unfinished(stored: state.merkleHashes.count, of: state.chunkCount)
        }
        let completed = SessionEvent.Completed(
            sessionID: state.sessionID, merkleRoot: root, chunkCount: state.chunkCount,
            sizeBytes: state.sizeBytes, sealedBytes: state.sealedBytes, incomplete: state.incomplete)
        return [
            .session(
                .merkleRootComputed(sessionID: state.sessionID, root: root, leafCount: state.chunkCount)),
            .session(.completed(completed)),
        ] + pipeline(state, .stopComplete)
    }

    /// The pipeline's steps for these triggers, as far as its machine has them.
    static func pipeline(_ state: SessionState, _ triggers: PipelineTrigger...) -> [RecordingEvent] {
        pipeline(state, triggers)
    }

    static func pipeline(_ state: SessionState, _ triggers: [PipelineTrigger]) -> [RecordingEvent] {
        var at = state.pipeline
        var steps: [RecordingEvent] = []
        for trigger in triggers {
            guard let step = PipelineStep(sessionID: state.sessionID, from: at, trigger) else { break }
            steps.append(.pipeline(step))
            at = step.to
        }
        return steps
    }

    /// Takes one event into account.
    package static func evolve(_ state: inout SessionState, _ fact: RecordingEvent) {
        switch fact {
        case .session(let event): evolve(&state, event)
        case .chunk(let event): evolve(&state, event)
        case .pipeline(let step):
            state.pipeline = step.to
            switch step.trigger {
            // What pauses with its session follows it; what pauses while it records was told to.
            case .pause: state.isHeld = state.status != .paused
            case .pauseComplete: break
            default: state.isHeld = false
            }
        }
    }

    private static func evolve(_ state: inout SessionState, _ event: SessionEvent) {
        switch event {
        case .created(let payload):
            state.sessionID = payload.sessionID
            state.status = .created
            state.description = SessionDescription(payload)
        case .updated(let change): state.description?.apply(change)
        case .keyExported, .verified: break
        case .legalHoldSet(let hold):
            if !state.legalHolds.contains(hold.caseName) { state.legalHolds.append(hold.caseName) }
            if hold.caseName == HoldTag.caseName { state.isTagTakenOver = true }
        case .legalHoldLifted(let hold): state.legalHolds.removeAll { $0 == hold.caseName }
        case .started(_, let status): state.status = status
        case .paused: state.status = .paused
        case .resumed: state.status = .recording
        case .stopped(let payload):
            state.status = .stopped
            state.incomplete = payload.incomplete
        case .processing: state.status = .processing
        case .completed: state.status = .completed
        case .failed: state.status = .failed
        case .deleted: state.status = .deleted
        case .merkleRootComputed(_, let root, _): state.merkleRoot = root
        }
    }

    private static func evolve(_ state: inout SessionState, _ event: ChunkEvent) {
        switch event {
        case .recorded(let payload):
            state.chunkCount +|= 1
            state.sizeBytes +|= payload.content.sizeBytes
            state.identify(payload)
        case .stored(let payload):
            state.merkleHashes[payload.chunk.sequenceNumber] = payload.merkleHash
            state.sealedBytes +|= payload.sealedBytes
            state.failures[payload.chunk.sequenceNumber] = nil
        case .failed(let chunk, _, _, let causes):
            state.failures[chunk.sequenceNumber] = causes.joined(separator: ": ")
        case .deleted(let chunk): state.deletedThrough = max(state.deletedThrough, chunk.sequenceNumber)
        case .compressed, .sealed, .validated: break
        }
    }
}

extension RecordingEvent {
    /// The id of what can happen once to a session or a chunk, derived from it, so that doing it again has no
    /// effect; nil for what is told apart by its cause.
    package var derivedID: String? {
        switch self {
        case .chunk(.failed), .pipeline: nil
        case .chunk(let event): event.derivedID
        case .session(let event):
            switch event {
            case .created, .stopped, .processing, .completed, .failed, .deleted, .merkleRootComputed:
                "\(event.sessionID)/\(event.typeName)"
            case .updated, .started, .paused, .resumed, .keyExported, .legalHoldSet, .legalHoldLifted,
                .verified:
                nil
            }
        }
    }

    /// The event's id in the log; what has none by itself is told apart by the command that caused it.
    package func eventID(command: String, index: Int) -> String {
        if case .chunk(let event) = self { return event.derivedID }
        return derivedID ?? "\(command)/\(index)"
    }
}

extension CommandHandler where D == SessionDecider {
    /// A handler for one session.
    package convenience init(session id: String, store: any EventStore, clock: any WallClock) {
        self.init(partitionKey: id, store: store, clock: clock) { event throws(MalformedEvent) in
            try RecordingEvent(event)
        }
    }

    /// Carries out one command; `commandID` makes giving it again harmless.
    @discardableResult
    package func handle(
        _ command: SessionCommand, id commandID: String, context: EventContext
    ) throws(CommandError<SessionRejection>) -> [RecordingEvent] {
        try handle([command], id: commandID, context: context)
    }

    /// Carries out several commands in order, all or none.
    @discardableResult
    package func handle(
        _ commands: [SessionCommand], id commandID: String, context: EventContext
    ) throws(CommandError<SessionRejection>) -> [RecordingEvent] {
        try handle(commands, context: context) { index, fact in
            fact.eventID(command: commandID, index: index)
        }
    }
}
