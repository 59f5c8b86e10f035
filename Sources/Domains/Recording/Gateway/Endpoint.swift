internal import Base
internal import EventSourcing
internal import HTTPServer
internal import Recording

/// One row of the table of routes: what is asked for, who may, how it is counted and recorded, and what
/// answers.
struct Endpoint: Sendable {
    enum Handling: Sendable {
        /// Answers; may block.
        case answer(@Sendable (Call) throws -> Response)
        /// Answers what is at hand without ever blocking; where that is nil, as above.
        case answerAtOnce(@Sendable (Call) throws -> Response?, else: @Sendable (Call) throws -> Response)
        /// Takes the body as it comes in.
        case upload(@Sendable (Call) throws -> any BodySink)
    }

    /// Of what there is a record in the audit trail.
    enum Trace: Sendable {
        /// That it was denied.
        case denials
        /// That it was done or not; events of the same request say the same.
        case command
        /// That it was done or not.
        case noted
        /// That recorded bytes were given out, before they are.
        case content
    }

    let method: HTTPMethod
    /// The path's template, behind whatever prefix the service has.
    let path: String
    let operation: Operation
    let limit: RateClass
    let action: AuditAction
    let trace: Trace
    let accepts: [String]
    let bodyLimit: UInt64?
    let handling: Handling

    /// An endpoint whose body, if it has one, is JSON.
    /// - Parameter atOnce: what is tried first, on a thread that must not block; for endpoints of which there
    ///   is a record of denials alone.
    init(
        _ method: HTTPMethod, _ path: String, _ operation: Operation, _ limit: RateClass,
        _ action: AuditAction, _ trace: Trace = .denials, takesJSON: Bool = false,
        atOnce: (@Sendable (Call) throws -> Response?)? = nil,
        answer: @escaping @Sendable (Call) throws -> Response
    ) {
        precondition(atOnce == nil || trace == .denials, "\(path): records may be waited for")
        self.method = method
        self.path = path
        self.operation = operation
        self.limit = limit
        self.action = action
        self.trace = trace
        accepts = takesJSON ? ["application/json"] : []
        bodyLimit = nil
        if let atOnce { handling = .answerAtOnce(atOnce, else: answer) } else { handling = .answer(answer) }
    }

    /// An endpoint that takes bytes.
    init(
        upload path: String, _ operation: Operation, _ limit: RateClass, _ action: AuditAction,
        atMost bodyLimit: UInt64, open: @escaping @Sendable (Call) throws -> any BodySink
    ) {
        method = .post
        self.path = path
        self.operation = operation
        self.limit = limit
        self.action = action
        trace = .noted
        accepts = ["application/octet-stream"]
        self.bodyLimit = bodyLimit
        handling = .upload(open)
    }

    static let base = "/api/v1"

    /// Whether there is a session in the path.
    var namesSession: Bool { path.contains("{id}") }
    /// Whether there is a chunk in the path.
    var namesChunk: Bool { path.contains("{chunk_id}") }

    /// The route, within its gate. Whose session it is, the handler looks at.
    func route(_ core: Core, _ mount: Mount) -> Route {
        let gate = Gate(core: core, endpoint: self, mount: mount)
        let template = mount.prefix + path
        switch handling {
        case .answer(let answer):
            return Route(method, template, accepts: accepts, bodyLimit: bodyLimit) { request in
                try gate.answer(request, answer)
            }
        case .answerAtOnce(let first, let answer):
            return Route.attempt(method, template, accepts: accepts, bodyLimit: bodyLimit) { request in
                try gate.attempt(request, first, else: answer)
            }
        case .upload(let open):
            return Route.upload(method, template, accepts: accepts, bodyLimit: bodyLimit ?? 0) { request in
                try gate.open(request, open)
            }
        }
    }
}

/// Where a route is: of which service, below which prefix.
struct Mount: Sendable {
    let service: GatewayService
    let prefix: String
}

/// One request of somebody who is known.
struct Call: Sendable {
    let core: Core
    let mount: Mount
    let request: Request
    let subject: Subject
    /// Until when the token holds; nil for ever.
    let expires: Timestamp?
    let operation: Operation
    /// What the record of it says; nil where there is one of denials alone.
    let notes: RequestNotes?

    /// The session in the path. What can't be an id is the id of no session.
    func sessionID() throws -> String {
        guard let id = identifier("id") else { throw SessionRejection.notFound }
        return id
    }

    /// What stands in the path, when it can be an id at all.
    func identifier(_ name: String) -> String? {
        let text = request.parameter(name)
        return Identifier.isValid(text) ? text : nil
    }

    /// Lets the request pass where the subject may do this to a session of that ownership.
    func require(_ ownership: Ownership, for other: Operation? = nil) throws {
        let operation = other ?? operation
        switch subject.decision(operation, ownership) {
        case .allowed: return
        case .hidden: throw SessionRejection.notFound
        case .forbidden:
            throw ErrorInfo(.notAllowed, "you may see this session, but not \(operation.rawValue)")
        }
    }

    /// The session as the log has it, for somebody who may do what is asked.
    @discardableResult
    func state(of session: String) throws -> SessionState {
        let state = try core.desk.look(at: session)
        guard let description = state.description, state.status != .deleted else {
            throw SessionRejection.notFound
        }
        try require(Ownership(description.metadata))
        return state
    }

    /// The session in the path, as it is answered, for somebody who may do what is asked.
    func session() throws -> AdmittedSession {
        let id = try sessionID()
        // In this order: what decides is never older than what is answered.
        guard let answer = try core.reads.answer(id), let facts = try core.access.facts(of: id) else {
            throw SessionRejection.notFound
        }
        let session = AdmittedSession(answer, facts)
        try require(session.ownership)
        return session
    }

    /// The same where that takes no question to anybody; nil where it does.
    func keptSession() throws -> AdmittedSession? {
        let id = try sessionID()
        guard let answer = core.reads.kept(id), let facts = core.access.known(of: id) else { return nil }
        let session = AdmittedSession(answer, facts)
        try require(session.ownership)
        return session
    }

    /// From where details of a single session are read for the subject.
    var source: ReadSource { subject.may(operation) ? .models : .log }

    /// The query's items.
    var parameters: [(name: String, value: String)] { request.query.items.map { ($0.name, $0.value) } }

    /// Whoever asked, in the events that come of it.
    var context: EventContext {
        EventContext(
            source: "/reel/\(mount.service.rawValue)", actor: Actor(type: "user", id: subject.id),
            traceparent: request.trace.traceparent, correlationID: request.id)
    }

    /// Carries out commands on a session, for somebody who may do that.
    /// - Parameter session: nil for the one in the path.
    @discardableResult
    func command(
        _ commands: [SessionCommand], on session: String? = nil,
        admit: (SessionState) throws -> Void = { _ in }
    ) throws -> SessionDesk.Outcome {
        let id = try session ?? sessionID()
        let outcome = try core.desk.carryOut(
            commands, on: id, mark: "\(id)/\(ULID.make(at: core.now()))", context: context
        ) { state in
            guard let description = state.description, state.status != .deleted else {
                throw SessionRejection.notFound
            }
            try require(Ownership(description.metadata))
            try admit(state)
        }
        notes?.note { $0.sessionSequence = outcome.version }
        return outcome
    }

    /// Refuses the parameters of a request that has none.
    func requireNoParameters() throws {
        guard let first = request.query.items.first else { return }
        throw RequestFailure.invalid([
            Violation(String(first.name.prefix(64)), "is not a parameter of this request")
        ])
    }
}
