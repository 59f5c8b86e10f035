internal import APIKit
internal import HTTPServer
internal import Intake
internal import Recording

/// `/sessions/{id}/start|pause|resume|stop`: the session's life, for whichever service it is moved through.
struct SessionControl: Sendable {
    let service: SessionService
    let intake: ChunkIntake
    let marks: RecorderMarks
    let keys: any SessionKeyAccess

    /// One step of a session's life.
    typealias Step = @Sendable (_ call: Call, _ id: String) throws -> Void

    var endpoints: [Endpoint] {
        [
            endpoint("start", .sessionStart, start),
            endpoint("pause", .sessionPause, pause),
            endpoint("resume", .sessionResume, resume),
            endpoint("stop", .sessionStop, stop),
        ]
    }

    private func endpoint(_ word: String, _ action: AuditAction, _ step: @escaping Step) -> Endpoint {
        Endpoint(.post, "/sessions/{id}/\(word)", .controlSession, .update, action, .command) { call in
            try call.requireNoParameters()
            let id = try call.sessionID()
            try step(call, id)
            return try service.present(id, call)
        }
    }

    /// The uploads to this service are the recording, so it begins with the start. The key is there before
    /// anything can be recorded.
    func start(_ call: Call, _ id: String) throws {
        try intake.requireBeginning()
        if try service.state(of: id, call).status == .created {
            _ = try keys.makeKey(forSession: id, at: service.now())
            try marks.beat(id)
        }
        try service.command([.start, .begin], on: id, call)
    }

    func pause(_ call: Call, _ id: String) throws {
        guard try service.state(of: id, call).status == .recording else {
            // For its answer.
            try service.command([.pause], on: id, call)
            return
        }
        intake.pause(id)
        do { try service.command([.pause], on: id, call) } catch {
            intake.resume(id)
            throw error
        }
        try marks.rest(id)
    }

    func resume(_ call: Call, _ id: String) throws {
        try service.command([.resume], on: id, call)
        try marks.beat(id)
        intake.resume(id)
        try intake.recordHeld(id, context: call.context)
    }

    /// What was sent, or promised, and never had its turn makes the recording incomplete.
    func stop(_ call: Call, _ id: String) throws {
        let state = try service.state(of: id, call)
        if state.status == .recording || state.status == .paused {
            let closing = try intake.closing(id, context: call.context)
            defer { closing.end() }
            try service.command(
                [.stop(.requested, incomplete: closing.isIncomplete)], on: id, call)
        } else {
            // For its answer.
            try service.command([.stop(.requested, incomplete: false)], on: id, call)
        }
        try marks.end(id)
        // What they still bring is refused in any case, by the log.
        try? intake.end(id)
    }
}
