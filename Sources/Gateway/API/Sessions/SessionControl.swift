internal import HTTPServer
internal import Recording

/// `/sessions/{id}/start|pause|resume|stop`: the session's life.
enum SessionControl {
    static let endpoints: [Endpoint] = [
        Endpoint(
            .post, "/sessions/{id}/start", .controlSession, .update, .sessionStart, .command, answer: start),
        Endpoint(
            .post, "/sessions/{id}/pause", .controlSession, .update, .sessionPause, .command, answer: pause),
        Endpoint(
            .post, "/sessions/{id}/resume", .controlSession, .update, .sessionResume, .command, answer: resume
        ),
        Endpoint(
            .post, "/sessions/{id}/stop", .controlSession, .update, .sessionStop, .command, answer: stop),
    ]

    /// The uploads to this service are the recording, so it begins with the start. The key is there before
    /// anything can be recorded.
    private static func start(_ call: Call) throws -> Response {
        try call.requireNoParameters()
        let id = try call.sessionID()
        try DiskRoom.require(call.core.parts.diskGuard)
        let state = try call.core.desk.look(at: id)
        if let description = state.description, state.status == .created {
            try call.require(Ownership(description.metadata))
            _ = try call.core.parts.keys.makeKey(forSession: id, at: call.core.now())
            try call.core.marks.beat(id)
        }
        try call.command([.start, .begin])
        return try call.present(id)
    }

    private static func pause(_ call: Call) throws -> Response {
        try call.requireNoParameters()
        let id = try call.sessionID()
        try call.command([.pause])
        try call.core.marks.rest(id)
        return try call.present(id)
    }

    private static func resume(_ call: Call) throws -> Response {
        try call.requireNoParameters()
        let id = try call.sessionID()
        try call.command([.resume])
        try call.core.marks.beat(id)
        try UploadDesk(core: call.core, context: call.context).recordHeld(id)
        return try call.present(id)
    }

    /// What was uploaded and never had its turn, because a chunk before it is missing, makes the recording
    /// incomplete.
    private static func stop(_ call: Call) throws -> Response {
        try call.requireNoParameters()
        let id = try call.sessionID()
        let desk = UploadDesk(core: call.core, context: call.context)
        try desk.recordHeld(id)
        try call.command([.stop(.requested, incomplete: try desk.gap(id) > 0)])
        try call.core.marks.end(id)
        return try call.present(id)
    }
}
