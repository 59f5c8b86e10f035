internal import HTTPServer
internal import Recording

/// `/sessions/{id}`: one session.
enum SessionResource {
    static let endpoints: [Endpoint] = [
        Endpoint(
            .get, "/sessions/{id}", .readSession, .status, .sessionRead, atOnce: readKept, answer: read),
        Endpoint(
            .put, "/sessions/{id}", .updateSession, .update, .sessionUpdate, .command, takesJSON: true,
            answer: update),
        Endpoint(
            .delete, "/sessions/{id}", .deleteSession, .delete, .sessionDelete, .command, answer: delete),
    ]

    private static func read(_ call: Call) throws -> Response {
        try call.requireNoParameters()
        return try call.session().response(to: call.subject)
    }

    private static func readKept(_ call: Call) throws -> Response? {
        try call.requireNoParameters()
        return try call.keptSession()?.response(to: call.subject)
    }

    private static func update(_ call: Call) throws -> Response {
        let change = try UpdateSessionRequest(json: call.request.body)
        let id = try call.sessionID()
        // The tag is compared with the description that is decided on, under the log's version: of two who
        // change what they both have read, one is told so.
        var tag: String?
        if call.request.headers.contains("If-Match") {
            let state = try call.core.desk.look(at: id)
            guard let description = state.description, state.status != .deleted else {
                throw SessionRejection.notFound
            }
            try call.require(Ownership(description.metadata))
            tag = try Preconditions.descriptionTag(call.request, present: description.tag)
        }
        let outcome = try call.command([.change(change, ifTag: tag)]) { state in
            guard let before = state.description else { throw SessionRejection.notFound }
            var after = before
            if let event = change.event(sessionID: id, on: before) {
                after.metadata = event.metadata ?? before.metadata
            }
            guard call.subject.mayMove(Ownership(before.metadata), to: Ownership(after.metadata)) else {
                throw ErrorInfo(.notAllowed, "you may not give this session to that owner or project")
            }
            try requireHoldTag(call, before.metadata, after.metadata)
        }
        call.notes?.note { $0.changed = outcome.changedFields }
        return try call.present(id)
    }

    /// As long as the tag keeps sessions from being deleted, it is not for everybody to take away.
    private static func requireHoldTag(
        _ call: Call, _ before: SessionMetadata, _ after: SessionMetadata
    ) throws {
        guard before.tags.contains(HoldTag.name), !after.tags.contains(HoldTag.name),
            !call.subject.may(.holdSession), try call.core.parts.tagCounts()
        else { return }
        throw ErrorInfo(.notAllowed, "you may not take away the tag that holds this session")
    }

    static func delete(_ call: Call) throws -> Response {
        try call.requireNoParameters()
        let tagCounts = try call.core.parts.tagCounts()
        try call.command([.delete(tagCounts: tagCounts)]) { state in
            if let description = state.description {
                _ = try Preconditions.descriptionTag(call.request, present: description.tag)
            }
        }
        return .empty(204)
    }
}

/// What `If-Match` asks.
enum Preconditions {
    /// The tag to hold the change to: nil where anything goes, the present one where the request names it.
    static func descriptionTag(_ request: Request, present: String) throws -> String? {
        guard let list = request.headers.list("If-Match") else { return nil }
        if list.trimmingBlanks == "*" { return nil }
        let named = SessionTag.descriptions(in: list)
        guard named.contains(present) else { throw SessionRejection.changedMeanwhile }
        return present
    }
}

extension Call {
    /// The session as it is now, answered.
    func present(_ id: String, status: Int = 200, headers: [HeaderField] = []) throws -> Response {
        guard let answer = try core.reads.answer(id) else { throw SessionRejection.notFound }
        return answer.response(to: subject, status: status, headers: headers)
    }
}

extension String {
    /// Without blanks and tabs at both ends.
    var trimmingBlanks: Substring {
        var rest = self[...]
        while let first = rest.first, first == " " || first == "\t" { rest.removeFirst() }
        while let last = rest.last, last == " " || last == "\t" { rest.removeLast() }
        return rest
    }
}
