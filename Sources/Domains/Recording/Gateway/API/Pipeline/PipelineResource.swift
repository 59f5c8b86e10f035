internal import APIKit
internal import Base
internal import EventSourcing
internal import HTTPServer
internal import Recording

/// `/sessions/{id}/pipeline`: how far processing is, and holding it.
struct PipelineResource: Sendable {
    let service: SessionService

    var endpoints: [Endpoint] {
        [
            Endpoint(.get, "/sessions/{id}/pipeline", .readPipeline, .status, .pipelineRead, answer: read),
            Endpoint(
                .post, "/sessions/{id}/pipeline/pause", .controlPipeline, .pipeline, .pipelineControl,
                .command
            ) { call in
                try move(call, .pause, present)
            },
            Endpoint(
                .post, "/sessions/{id}/pipeline/resume", .controlPipeline, .pipeline, .pipelineControl,
                .command
            ) { call in
                try move(call, .resume, present)
            },
        ]
    }

    private func read(_ call: Call) throws -> Response {
        try call.requireNoParameters()
        try service.session(call)
        return try present(call, try call.sessionID())
    }

    /// Pulls one trigger of the pipeline's own.
    func move(
        _ call: Call, _ trigger: PipelineTrigger, _ present: (Call, String) throws -> Response
    ) throws -> Response {
        try call.requireNoParameters()
        let id = try call.sessionID()
        try service.command([.pipeline(trigger)], on: id, call)
        return try present(call, id)
    }

    private func present(_ call: Call, _ id: String) throws -> Response {
        guard let pipeline = try service.reads.pipeline(id, from: call.source) else {
            throw SessionRejection.notFound
        }
        var writer = JSONWriter(reserving: 2048)
        pipeline.encode(into: &writer)
        return .json(writer.bytes, etag: EntityTag("\(pipeline.version)"))
    }
}
