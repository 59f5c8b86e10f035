internal import HTTPServer
internal import Intake
internal import Recording

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
        try call.core.intake.requireBeginning()
        if try call.state(of: id).status == .created {
            _ = try call.core.parts.keys.makeKey(forSession: id, at: call.core.now())
            try call.core.marks.beat(id)
        }
        try call.command([.start, .begin], on: id)
    }

    static func pause(_ call: Call, _ id: String) throws {
        let intake = call.core.intake
        guard try call.state(of: id).status == .recording else {
            // For its answer.
            try call.command([.pause], on: id)
            return
        }
        intake.pause(id)
        do { try call.command([.pause], on: id) } catch {
            intake.resume(id)
            throw error
        }
        try call.core.marks.rest(id)
    }

    static func resume(_ call: Call, _ id: String) throws {
        try call.command([.resume], on: id)
        try call.core.marks.beat(id)
        call.core.intake.resume(id)
        try call.core.intake.recordHeld(id, context: call.context)
    }

    /// What was sent, or promised, and never had its turn makes the recording incomplete.
    static func stop(_ call: Call, _ id: String) throws {
        let intake = call.core.intake
        let state = try call.state(of: id)
        if state.status == .recording || state.status == .paused {
            let closing = try intake.closing(id, context: call.context)
            defer { closing.end() }
            try call.command([.stop(.requested, incomplete: closing.isIncomplete)], on: id)
        } else {
            // For its answer.
            try call.command([.stop(.requested, incomplete: false)], on: id)
        }
        try call.core.marks.end(id)
        // What they still bring is refused in any case, by the log.
        try? intake.end(id)
    }
}
