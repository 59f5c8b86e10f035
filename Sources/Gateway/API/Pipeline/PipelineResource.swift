internal import EventSourcing
internal import HTTPServer
internal import Recording

/// `/sessions/{id}/pipeline`: how far processing is, and holding it.
enum PipelineResource {
    static let endpoints: [Endpoint] = [
        Endpoint(.get, "/sessions/{id}/pipeline", .readPipeline, .status, .pipelineRead, answer: read),
        Endpoint(
            .post, "/sessions/{id}/pipeline/pause", .controlPipeline, .pipeline, .pipelineControl, .command
        ) { call in
            try move(call, .pause)
        },
        Endpoint(
            .post, "/sessions/{id}/pipeline/resume", .controlPipeline, .pipeline, .pipelineControl, .command
        ) { call in
            try move(call, .resume)
        },
    ]

    private static func read(_ call: Call) throws -> Response {
        try call.requireNoParameters()
        _ = try call.session()
        return try present(call)
    }

    private static func move(_ call: Call, _ trigger: PipelineTrigger) throws -> Response {
        try call.requireNoParameters()
        try call.command([.pipeline(trigger)])
        return try present(call)
    }

    private static func present(_ call: Call) throws -> Response {
        guard let pipeline = try call.core.reads.pipeline(try call.sessionID()) else {
            throw SessionRejection.notFound
        }
        var writer = JSONWriter(reserving: 2048)
        pipeline.encode(into: &writer)
        return .json(writer.bytes, etag: EntityTag("\(pipeline.version)"))
    }
}
