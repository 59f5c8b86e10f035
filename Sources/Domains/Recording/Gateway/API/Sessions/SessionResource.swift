internal import APIKit
internal import Access
internal import HTTPServer
internal import Recording

/// `/sessions/{id}`: one session.
struct SessionResource: Sendable {
    let service: SessionService
    /// Whether their tag still keeps sessions from being deleted as a case would.
    let tagCounts: @Sendable () throws -> Bool

    var endpoints: [Endpoint] {
        [
            Endpoint(
                .get, "/sessions/{id}", .readSession, .status, .sessionRead, atOnce: readKept, answer: read),
            Endpoint(
                .put, "/sessions/{id}", .updateSession, .update, .sessionUpdate, .command, takesJSON: true,
                answer: update),
            Endpoint(
                .delete, "/sessions/{id}", .deleteSession, .delete, .sessionDelete, .command, answer: delete),
        ]
    }

    private func read(_ call: Call) throws -> Response {
        try call.requireNoParameters()
        return try service.session(call).response(to: call.subject)
    }

    private func readKept(_ call: Call) throws -> Response? {
        try call.requireNoParameters()
        return try service.keptSession(call)?.response(to: call.subject)
    }

    private func update(_ call: Call) throws -> Response {
        let change = try UpdateSessionRequest(json: call.request.body)
        let id = try call.sessionID()
        // The tag is compared with the description that is decided on, under the log's version: of two who
        // change what they both have read, one is told so.
        var tag: String?
        if call.request.headers.contains("If-Match") {
            let state = try service.commands.look(at: id)
            guard let description = state.description, state.status != .deleted else {
                throw SessionRejection.notFound
            }
            try call.require(Ownership(description.metadata))
            tag = try Preconditions.descriptionTag(call.request, present: description.tag)
        }
        let outcome = try service.command([.change(change, ifTag: tag)], call) { state in
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
        return try service.present(id, call)
    }

    /// As long as the tag keeps sessions from being deleted, it is not for everybody to take away.
    private func requireHoldTag(
        _ call: Call, _ before: SessionMetadata, _ after: SessionMetadata
    ) throws {
        guard before.tags.contains(HoldTag.name), !after.tags.contains(HoldTag.name),
            !call.subject.may(.holdSession), try tagCounts()
        else { return }
        throw ErrorInfo(.notAllowed, "you may not take away the tag that holds this session")
    }

    func delete(_ call: Call) throws -> Response {
        try call.requireNoParameters()
        let counts = try tagCounts()
        try service.command([.delete(tagCounts: counts)], call) { state in
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

extension String {
    /// Without blanks and tabs at both ends.
    var trimmingBlanks: Substring {
        var rest = self[...]
        while let first = rest.first, first == " " || first == "\t" { rest.removeFirst() }
        while let last = rest.last, last == " " || last == "\t" { rest.removeLast() }
        return rest
    }
}
