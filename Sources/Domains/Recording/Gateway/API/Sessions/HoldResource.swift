internal import APIKit
internal import Base
internal import EventSourcing
internal import HTTPServer
internal import Recording

/// `/sessions/{id}/hold`: the cases that hold a session, so that nobody deletes it.
struct HoldResource: Sendable {
    let service: SessionService

    private static let path = "/sessions/{id}/hold"

    var endpoints: [Endpoint] {
        [
            Endpoint(
                .post, Self.path, .holdSession, .update, .holdSet, .command, takesJSON: true, answer: set),
            Endpoint(
                .delete, Self.path, .holdSession, .update, .holdLift, .command, takesJSON: true,
                answer: lift),
        ]
    }

    private func set(_ call: Call) throws -> Response {
        try call.requireNoParameters()
        let request = try HoldRequest(json: call.request.body)
        call.notes?.note {
            $0.purpose = Purpose(caseName: request.caseName, reason: request.reason)
        }
        try service.command([.hold(caseName: request.caseName, reason: request.reason)], call)
        return try present(call)
    }

    private func lift(_ call: Call) throws -> Response {
        try call.requireNoParameters()
        let request = try LiftHoldRequest(json: call.request.body)
        call.notes?.note {
            $0.purpose = Purpose(caseName: request.caseName, reason: request.reason)
        }
        try service.command(
            [.liftHold(caseName: request.caseName, reason: request.reason)], call)
        return try present(call)
    }

    /// From the log: what is answered here has to be right whatever the read models say.
    private func present(_ call: Call) throws -> Response {
        guard let session = try service.reads.logged(try call.sessionID()) else {
            throw SessionRejection.notFound
        }
        var writer = JSONWriter()
        HoldsResponse(session).encode(into: &writer)
        return .json(writer.bytes)
    }
}
