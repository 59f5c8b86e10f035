package import APIKit
internal import Access
internal import Base
internal import EventSourcing
internal import HTTPServer
internal import Recording

/// What requests about single sessions have in common: who may do it, the session as it is answered, and
/// commands on it.
struct SessionService: Sendable {
    let commands: SessionCommands
    let reads: SessionReads
    let access: SessionAccess
    let clock: any WallClock

    func now() -> Timestamp { clock.now() }

    /// The session as the log has it, for somebody who may do what is asked.
    @discardableResult
    func state(of session: String, _ call: Call) throws -> SessionState {
        let state = try commands.look(at: session)
        guard let description = state.description, state.status != .deleted else {
            throw SessionRejection.notFound
        }
        try call.require(Ownership(description.metadata))
        return state
    }

    /// The session in the path, as it is answered, for somebody who may do what is asked.
    @discardableResult
    func session(_ call: Call) throws -> AdmittedSession {
        let id = try call.sessionID()
        // In this order: what decides is never older than what is answered.
        guard let answer = try reads.answer(id), let facts = try access.facts(of: id) else {
            throw SessionRejection.notFound
        }
        let session = AdmittedSession(answer, facts)
        try call.require(session.ownership)
        return session
    }

    /// The same where that takes no question to anybody; nil where it does.
    func keptSession(_ call: Call) throws -> AdmittedSession? {
        let id = try call.sessionID()
        guard let answer = reads.kept(id), let facts = access.known(of: id) else { return nil }
        let session = AdmittedSession(answer, facts)
        try call.require(session.ownership)
        return session
    }

    /// Carries out commands on a session, for somebody who may do that.
    /// - Parameter session: nil for the one in the path.
    @discardableResult
    func command(
        _ requested: [SessionCommand], on session: String? = nil, _ call: Call,
        admit: (SessionState) throws -> Void = { _ in }
    ) throws -> SessionCommands.Outcome {
        let id = try session ?? call.sessionID()
        let outcome = try commands.carryOut(
            requested, on: id, mark: "\(id)/\(ULID.make(at: now()))", context: call.context
        ) { state in
            guard let description = state.description, state.status != .deleted else {
                throw SessionRejection.notFound
            }
            try call.require(Ownership(description.metadata))
            try admit(state)
        }
        call.notes?.note { $0.sequence = outcome.version }
        return outcome
    }

    /// The session as it is now, answered.
    func present(
        _ id: String, _ call: Call, status: Int = 200, headers: [HeaderField] = []
    ) throws -> Response {
        guard let answer = try reads.answer(id) else { throw SessionRejection.notFound }
        return answer.response(to: call.subject, status: status, headers: headers)
    }
}

extension Call {
    /// The session in the path. What can't be an id is the id of no session.
    func sessionID() throws -> String {
        guard let id = identifier("id") else { throw SessionRejection.notFound }
        return id
    }

    /// Lets the request pass where the subject may do this to a session of that ownership.
    func require(_ ownership: Ownership, for other: Permission? = nil) throws {
        let permission = other ?? permission
        switch subject.decision(permission, ownership) {
        case .allowed: return
        case .hidden: throw SessionRejection.notFound
        case .forbidden:
            throw ErrorInfo(.notAllowed, "you may see this session, but not \(permission)")
        }
    }

    /// From where details of a single session are read for the subject.
    var source: ReadSource { subject.may(permission) ? .models : .log }
}

extension Endpoint {
    /// An endpoint whose body, if it has one, is JSON.
    init(
        _ method: HTTPMethod, _ path: String, _ permission: Permission, _ limit: RateClass,
        _ action: AuditAction, _ trace: Trace = .denials, takesJSON: Bool = false,
        atOnce: (@Sendable (Call) throws -> Response?)? = nil,
        answer: @escaping @Sendable (Call) throws -> Response
    ) {
        self.init(
            method, path, permission, limit, action: action.rawValue,
            on: Self.naming(path, permission, limit), trace, takesJSON: takesJSON, atOnce: atOnce,
            answer: answer)
    }

    /// An endpoint that takes bytes.
    init(
        upload path: String, _ permission: Permission, _ limit: RateClass, _ action: AuditAction,
        atMost bodyLimit: UInt64, open: @escaping @Sendable (Call) throws -> any BodySink
    ) {
        self.init(
            upload: path, permission, limit, action: action.rawValue,
            on: Self.naming(path, permission, limit), atMost: bodyLimit, open: open)
    }

    private static func naming(_ path: String, _ permission: Permission, _ limit: RateClass) -> Naming {
        func named(_ kind: AuditResource.Kind, in parameter: String? = nil) -> Naming {
            Naming(kind.rawValue, in: parameter, historyKind: AuditResource.Kind.session.rawValue)
        }
        if path.contains("{chunk_id}") { return named(.chunk, in: "chunk_id") }
        if path.contains("{id}") { return named(.session, in: "id") }
        return switch permission {
        case .readAllEvents: named(.events)
        case .readAudit: named(.audit)
        case .readConfiguration: named(.configuration)
        default: named(limit == .statistics ? .statistics : .session)
        }
    }
}

// Kinds of requests that are limited apart, beside those that every service has.
extension RateClass {
    /// Uploading, listing and downloading chunks and media.
    package static let chunks = RateClass("chunks", usually: 1000)
    /// Controlling a pipeline.
    package static let pipeline = RateClass("pipeline", usually: 20)

    /// All kinds of requests to the services of recorded sessions.
    package static let recording: [RateClass] = [
        .create, .status, .chunks, .bulk, .update, .delete, .pipeline, .statistics, .unauthenticated,
    ]
}

extension RequestNotes.Content {
    /// For which case and why, as whoever asks says.
    var purpose: Purpose {
        get { Purpose(caseName: caseName, reason: reason) }
        set { (caseName, reason) = (newValue.caseName, newValue.reason) }
    }
}
