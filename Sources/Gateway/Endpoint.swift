internal import EventSourcing
internal import HTTPServer
internal import Recording

/// One row of the table of routes: what is asked for, who may, how it is counted, and what answers.
struct Endpoint: Sendable {
    enum Handling: Sendable {
        /// Answers; may block.
        case answer(@Sendable (Call) throws -> Response)
        /// Takes the body as it comes in.
        case upload(@Sendable (Call) throws -> any BodySink)
    }

    let method: HTTPMethod
    let template: String
    let operation: Operation
    let limit: LimitClass
    let accepts: [String]
    let bodyLimit: UInt64?
    let handling: Handling

    /// An endpoint whose body, if it has one, is JSON.
    init(
        _ method: HTTPMethod, _ path: String, _ operation: Operation, _ limit: LimitClass,
        takesJSON: Bool = false, answer: @escaping @Sendable (Call) throws -> Response
    ) {
        self.method = method
        template = Self.base + path
        self.operation = operation
        self.limit = limit
        accepts = takesJSON ? ["application/json"] : []
        bodyLimit = nil
        handling = .answer(answer)
    }

    /// An endpoint that takes bytes.
    init(
        upload path: String, _ operation: Operation, _ limit: LimitClass, atMost bodyLimit: UInt64,
        open: @escaping @Sendable (Call) throws -> any BodySink
    ) {
        method = .post
        template = Self.base + path
        self.operation = operation
        self.limit = limit
        accepts = ["application/octet-stream"]
        self.bodyLimit = bodyLimit
        handling = .upload(open)
    }

    static let base = "/api/v1"

    /// The route, with everything around the handler that all endpoints have: who asks, and whether its role
    /// allows anything of the kind at all. Whose session it is, the handler looks at.
    func route(_ core: Core) -> Route {
        switch handling {
        case .answer(let answer):
            return Route(method, template, accepts: accepts, bodyLimit: bodyLimit) { request in
                try answer(try admit(request, core))
            }
        case .upload(let open):
            return Route.upload(method, template, accepts: accepts, bodyLimit: bodyLimit ?? 0) { request in
                try open(try admit(request, core))
            }
        }
    }

    private func admit(_ request: Request, _ core: Core) throws -> Call {
        let subject = try core.parts.authenticator.caller(of: request)
        guard subject.reach(operation) > .none else {
            throw ErrorInfo(.notAllowed, "your role does not allow \(operation.rawValue)")
        }
        return Call(core: core, request: request, subject: subject, operation: operation)
    }
}

/// One request of somebody who is known.
struct Call: Sendable {
    let core: Core
    let request: Request
    let subject: Subject
    let operation: Operation

    /// The session in the path. What can't be an id is the id of no session.
    func sessionID() throws -> String {
        let id = request.parameter("id")
        guard Identifier.isValid(id) else { throw SessionRejection.notFound }
        return id
    }

    /// Lets the request pass where the subject may do this to a session of that ownership.
    func require(_ ownership: Ownership) throws {
        switch subject.decision(operation, ownership) {
        case .allowed: return
        case .hidden: throw SessionRejection.notFound
        case .forbidden:
            throw ErrorInfo(.notAllowed, "you may see this session, but not \(operation.rawValue)")
        }
    }

    /// The session in the path, as it is answered, for somebody who may do what is asked.
    func session() throws -> SessionAnswer {
        guard let answer = try core.reads.answer(try sessionID()) else { throw SessionRejection.notFound }
        try require(answer.ownership)
        return answer
    }

    /// The query's items.
    var parameters: [(name: String, value: String)] { request.query.items.map { ($0.name, $0.value) } }

    /// Whoever asked, in the events that come of it.
    var context: EventContext {
        EventContext(
            source: "/reel/api", actor: Actor(type: "user", id: subject.id),
            traceparent: request.trace.traceparent, correlationID: request.id)
    }

    /// Carries out commands on the session in the path, for somebody who may do that.
    @discardableResult
    func command(
        _ commands: [SessionCommand], admit: (SessionState) throws -> Void = { _ in }
    ) throws -> SessionDesk.Outcome {
        let id = try sessionID()
        return try core.desk.carryOut(
            commands, on: id, mark: "\(id)/\(ULID.make(at: core.now()))", context: context
        ) { state in
            guard let description = state.description, state.status != .deleted else {
                throw SessionRejection.notFound
            }
            try require(Ownership(description.metadata))
            try admit(state)
        }
    }

    /// Refuses the parameters of a request that has none.
    func requireNoParameters() throws {
        guard let first = request.query.items.first else { return }
        throw RequestFailure.invalid([
            Violation(String(first.name.prefix(64)), "is not a parameter of this request")
        ])
    }
}
