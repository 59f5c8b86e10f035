internal import APIKit
internal import Base
internal import EventSourcing
internal import HTTPServer
internal import Recording
internal import ChunkFiles

/// The Pipeline Manager (seed 001): sessions' pipelines, over the same commands and reads as the session API.
/// A pipeline comes and goes with its session, so it starts and stops with it too.
struct PipelineManager: Sendable {
    let service: SessionService
    let collection: SessionCollection
    let control: SessionControl
    let pipeline: PipelineResource
    let chunks: ChunkResource
    let spool: Spool
    let configuration: ConfigurationAnswer

    var endpoints: [Endpoint] {
        let path = "/pipelines/{id}"
        return [
            Endpoint(
                .post, "/pipelines", .createSession, .create, .pipelineCreate, .command, takesJSON: true,
                answer: create),
            step("start", .sessionStart, control.start),
            step("stop", .sessionStop, control.stop),
            hold("pause", .pause),
            hold("resume", .resume),
            Endpoint(.get, path + "/status", .readPipeline, .status, .pipelineRead) { call in
                try call.requireNoParameters()
                let id = try call.sessionID()
                try service.state(of: id, call)
                return try present(call, id)
            },
            Endpoint(
                .delete, path, .controlPipeline, .delete, .pipelineControl, .command, answer: cleanUp),
            chunks.upload(at: path + "/chunks"),
            Endpoint(.get, "/config", .readConfiguration, .status, .configurationRead) { call in
                try call.requireNoParameters()
                return .json(configuration.bytes)
            },
        ]
    }

    private func step(
        _ word: String, _ action: AuditAction, _ step: @escaping SessionControl.Step
    ) -> Endpoint {
        Endpoint(.post, "/pipelines/{id}/\(word)", .controlSession, .update, action, .command) { call in
            try call.requireNoParameters()
            let id = try call.sessionID()
            try step(call, id)
            return try present(call, id)
        }
    }

    private func hold(_ word: String, _ trigger: PipelineTrigger) -> Endpoint {
        Endpoint(
            .post, "/pipelines/{id}/\(word)", .controlPipeline, .pipeline, .pipelineControl, .command
        ) { call in
            try pipeline.move(call, trigger, { try present($0, $1) })
        }
    }

    /// A session that is there has a pipeline from its beginning on: asking for it as long as nothing has
    /// begun is granted, and changes nothing.
    private func create(_ call: Call) throws -> Response {
        try call.requireNoParameters()
        switch try SessionOrder(json: call.request.body) {
        case .new(let request):
            let id = try collection.make(request, call)
            return try present(
                call, id, status: 201,
                headers: [HeaderField("Location", "\(call.mount.prefix)/pipelines/\(id)/status")])
        case .existing(let id):
            let state = try service.state(of: id, call)
            guard state.pipeline == .created else {
                throw ErrorInfo(
                    .existsAlready, "the session has a pipeline already, which is \(state.pipeline.rawValue)")
            }
            return try present(call, id)
        }
    }

    /// Ends a pipeline whose work is over: what processing left in the spool goes, then it is destroyed. The
    /// recording stays. A failed session keeps the chunks that it recorded, which may be all there is of
    /// them, until it is deleted.
    private func cleanUp(_ call: Call) throws -> Response {
        try call.requireNoParameters()
        let id = try call.sessionID()
        let state = try service.state(of: id, call)
        switch state.pipeline {
        case .destroyed: return try present(call, id)
        case .created: try service.command([.pipeline(.destroy)], on: id, call)
        case .cleanup: try sweep(call, id, state)
        default:
            try service.command([.pipeline(.cleanup)], on: id, call)
            try sweep(call, id, state)
        }
        return try present(call, id)
    }

    private func sweep(_ call: Call, _ id: String, _ state: SessionState) throws {
        // Somebody may have put it under legal hold since it was decided, or since a cleanup was cut off.
        let state = try service.state(of: id, call)
        try SessionDecider.requireUnheld(state)
        if state.status == .completed {
            do { try spool.removeSession(id) } catch {
                _ = try? service.command([.pipeline(.error)], on: id, call)
                throw error
            }
        }
        try service.command([.pipeline(.cleanupComplete)], on: id, call)
    }

    private func present(
        _ call: Call, _ id: String, status: Int = 200, headers: [HeaderField] = []
    ) throws -> Response {
        // The log is looked at last: what is answered is never older than its ETag.
        guard let pipeline = try service.reads.pipeline(id, from: call.source),
            let answer = PipelineStatusResponse(pipeline, try service.commands.look(at: id))
        else { throw SessionRejection.notFound }
        var writer = JSONWriter(reserving: 2048)
        answer.encode(into: &writer)
        return .json(writer.bytes, status: status, etag: EntityTag("\(pipeline.version)"), headers: headers)
    }
}
