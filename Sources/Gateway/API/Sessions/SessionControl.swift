internal import HTTPServer
internal import Recording
internal import Vault

/// `/sessions/{id}/start|pause|resume|stop`: the session's life, for whichever service it is moved through.
enum SessionControl {
    /// One step of a session's life.
    typealias Step = @Sendable (_ call: Call, _ id: String) throws -> Void

    static let endpoints: [Endpoint] = [
        endpoint("start", .sessionStart, start),
        endpoint("pause", .sessionPause, pause),
        endpoint("resume", .sessionResume, resume),
        endpoint("stop", .sessionStop, stop),
    ]

    private static func endpoint(_ word: String, _ action: AuditAction, _ step: @escaping Step) -> Endpoint {
        Endpoint(.post, "/sessions/{id}/\(word)", .controlSession, .update, action, .command) { call in
            try call.requireNoParameters()
            let id = try call.sessionID()
            try step(call, id)
            return try call.present(id)
        }
    }

    /// The uploads to this service are the recording, so it begins with the start. The key is there before
    /// anything can be recorded.
    static func start(_ call: Call, _ id: String) throws {
        try DiskRoom.require(call.core.parts.diskGuard)
        try call.core.parts.spool.requireRoom(for: call.core.settings.chunkBytes)
        if try call.state(of: id).status == .created {
            _ = try call.core.parts.keys.makeKey(forSession: id, at: call.core.now())
            try call.core.marks.beat(id)
        }
        try call.command([.start, .begin], on: id)
    }

    static func pause(_ call: Call, _ id: String) throws {
        try call.state(of: id)
        call.core.openStreams.flush(id)
        try call.command([.pause], on: id)
        try call.core.marks.rest(id)
    }

    static func resume(_ call: Call, _ id: String) throws {
        try call.command([.resume], on: id)
        try call.core.marks.beat(id)
        try UploadDesk(core: call.core, context: call.context).recordHeld(id)
    }

    /// What was uploaded and never had its turn, because a chunk before it is missing, makes the recording
    /// incomplete.
    static func stop(_ call: Call, _ id: String) throws {
        try call.state(of: id)
        call.core.openStreams.flush(id)
        let desk = UploadDesk(core: call.core, context: call.context)
        try desk.recordHeld(id)
        try call.command([.stop(.requested, incomplete: try desk.gap(id) > 0)], on: id)
        try call.core.marks.end(id)
    }
}
