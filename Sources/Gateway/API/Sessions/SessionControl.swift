internal import HTTPServer
internal import Recording

/// `/sessions/{id}/start|pause|resume|stop`: the session's life.
enum SessionControl {
    static let endpoints: [Endpoint] = [
        Endpoint(.post, "/sessions/{id}/start", .controlSession, .update, answer: start),
        Endpoint(.post, "/sessions/{id}/pause", .controlSession, .update, answer: pause),
        Endpoint(.post, "/sessions/{id}/resume", .controlSession, .update, answer: resume),
        Endpoint(.post, "/sessions/{id}/stop", .controlSession, .update, answer: stop),
    ]

    /// The uploads to this service are the recording, so it begins with the start. The key is there before
    /// anything can be recorded.
    private static func start(_ call: Call) throws -> Response {
        let id = try call.sessionID()
        try DiskRoom.require(call.core.parts.diskGuard)
        let state = try call.core.desk.look(at: id)
        if let description = state.description, state.status == .created {
            try call.require(Ownership(description.metadata))
            _ = try call.core.parts.keys.makeKey(forSession: id, at: call.core.now())
        }
        try call.command([.start, .begin])
        return try call.present(id)
    }

    private static func pause(_ call: Call) throws -> Response { try step(call, .pause) }
    private static func resume(_ call: Call) throws -> Response { try step(call, .resume) }

    private static func stop(_ call: Call) throws -> Response {
        try step(call, .stop(.requested, incomplete: false))
    }

    private static func step(_ call: Call, _ command: SessionCommand) throws -> Response {
        let id = try call.sessionID()
        try call.command([command])
        return try call.present(id)
    }
}
