internal import APIKit
internal import Access
internal import Base
internal import EventSourcing
internal import HTTPServer
internal import Intake
internal import Recording

/// `/sessions`: all of them.
struct SessionCollection: Sendable {
    let service: SessionService
    let intake: ChunkIntake
    let passwords: (any PasswordWriter)?
    let lists: SessionLists
    let chunkBytes: Int

    var endpoints: [Endpoint] {
        [
            Endpoint(
                .post, "/sessions", .createSession, .create, .sessionCreate, .command, takesJSON: true,
                answer: create),
            Endpoint(.get, "/sessions", .readSession, .status, .sessionList, answer: list),
        ]
    }

    private func create(_ call: Call) throws -> Response {
        let id = try make(try CreateSessionRequest(json: call.request.body), call)
        return try service.present(
            id, call, status: 201, headers: [HeaderField("Location", "\(call.mount.prefix)/sessions/\(id)")])
    }

    /// Makes a session for somebody who may; its id.
    func make(_ request: CreateSessionRequest, _ call: Call) throws -> String {
        let id = request.sessionID ?? "sess-\(ULID.make(at: service.now()))"
        let creation = creation(request, call, id: id)
        guard call.subject.mayCreate(Ownership(creation.metadata)) else {
            throw ErrorInfo(
                .notAllowed,
                "you may only make sessions that you own, in a project that you belong to or in none")
        }
        try intake.requireReserve()
        if request.password != nil, passwords == nil {
            throw RequestFailure.invalid([Violation("rdp_config.password", "cannot be kept by this server")])
        }
        let outcome = try service.commands.carryOut(
            [.create(creation)], on: id, mark: "\(id)/create", context: call.context,
            isNew: request.sessionID == nil)
        call.notes?.note { $0.sequence = outcome.version }
        try service.reads.adopt(outcome.events)
        // After the session is there, so that nobody replaces the password of another's; whoever is told of a
        // failure here deletes the session and makes another.
        try keepPassword(request, id: id)
        return id
    }

    /// The session that a request of this subject makes.
    func creation(
        _ request: CreateSessionRequest, _ call: Call, id: String
    ) -> SessionEvent.Created {
        request.creation(
            sessionID: id, owner: call.subject.id,
            capture: CaptureConfig(source: .stream, chunkSizeBytes: chunkBytes))
    }

    /// Keeps the password that a request has.
    func keepPassword(_ request: CreateSessionRequest, id: String) throws {
        if let password = request.password { _ = try passwords?.put(password, ofSession: id) }
    }

    /// The page that the request asks for.
    func page(_ call: Call) throws -> SessionListResponse {
        let query = try SessionListQuery(call.parameters, seenBy: call.subject.audience)
        if query.filter.isHeld != nil || query.filter.caseName != nil, !call.subject.may(.readHolds) {
            throw ErrorInfo(.notAllowed, "your role does not allow \(Permission.readHolds)")
        }
        return try lists.page(query.filter, limit: query.limit, from: query.start)
    }

    private func list(_ call: Call) throws -> Response {
        let list = try page(call)
        var writer = JSONWriter(reserving: 1024 * (list.sessions.count + 1))
        list.encode(into: &writer, showsHolds: call.subject.may(.readHolds))
        return .json(writer.bytes)
    }
}
