internal import APIKit
internal import Base
internal import EventSourcing
internal import HTTPServer
internal import Intake
internal import Recording
internal import Sealing

/// The Recorder (seed 001): sessions as recordings, over the same commands and reads as the session API, and
/// the one thing that this cannot do: it takes a stream and cuts it into chunks.
struct RecorderService: Sendable {
    let service: SessionService
    let collection: SessionCollection
    let session: SessionResource
    let control: SessionControl
    let chunks: ChunkResource
    let uploads: UploadService
    let intake: ChunkIntake
    let marks: RecorderMarks
    let totals: Totals
    let levels: [(codec: String, level: Int)]

    /// The largest body of one request: what the largest session may have, `max_size_gb` of seed 000.
    private static let streamBytes = UInt64(1000) << 30

    var endpoints: [Endpoint] {
        [
            Endpoint(
                .post, "/recordings/start", .controlSession, .create, .sessionStart, .command,
                takesJSON: true, answer: start),
            step("stop", .sessionStop, control.stop),
            step("pause", .sessionPause, control.pause),
            step("resume", .sessionResume, control.resume),
            Endpoint(.get, "/recordings/{id}", .readSession, .status, .sessionRead) { call in
                try call.requireNoParameters()
                let id = try call.sessionID()
                try service.state(of: id, call)
                return try present(call, id)
            },
            Endpoint(.get, "/recordings", .readSession, .status, .sessionList) { call in
                var writer = JSONWriter(reserving: 16 << 10)
                RecordingListResponse(try collection.page(call)).encode(into: &writer)
                return .json(writer.bytes)
            },
            Endpoint(
                .delete, "/recordings/{id}", .deleteSession, .delete, .sessionDelete, .command,
                answer: session.delete),
            Endpoint(.get, "/chunks/{id}", .readChunks, .chunks, .chunkList, answer: chunks.list),
            Endpoint(
                upload: "/chunks/{id}/process", .uploadChunk, .chunks, .chunkUpload, atMost: Self.streamBytes
            ) { call in
                try StreamSink(call, try StreamAppend(call.parameters), uploads)
            },
            Endpoint(
                .get, "/compression/stats", .readSystemStatistics, .statistics, .statisticsRead,
                answer: compression),
        ]
    }

    private func step(
        _ word: String, _ action: AuditAction, _ step: @escaping SessionControl.Step
    ) -> Endpoint {
        Endpoint(.post, "/recordings/{id}/\(word)", .controlSession, .update, action, .command) { call in
            try call.requireNoParameters()
            let id = try call.sessionID()
            try step(call, id)
            return try present(call, id)
        }
    }

    private func start(_ call: Call) throws -> Response {
        try call.requireNoParameters()
        let order = try RecordingOrder(json: call.request.body)
        guard order.source != .rdp else {
            throw ErrorInfo(
                .invalidConfiguration,
                "this recorder takes streams and has no client that could connect to a desktop; start the "
                    + "recording with source stream, and send what is captured to "
                    + "/chunks/{session_id}/process",
                status: 501)
        }
        let id: String
        switch order.session {
        case .existing(let named): id = named
        case .new(let request): id = try made(request, call)
        }
        try control.start(call, id)
        return try present(
            call, id, status: 201,
            headers: [HeaderField("Location", "\(call.mount.prefix)/recordings/\(id)")])
    }

    /// Makes the session of a request. One that the same request has made, and that was not begun because
    /// that failed, is gone on with: what the request asks for is half done.
    private func made(_ request: CreateSessionRequest, _ call: Call) throws -> String {
        do { return try collection.make(request, call) } catch {
            guard let id = request.sessionID, ErrorAnswers.recording.answer(error).status == 409 else {
                throw error
            }
            let state = try service.commands.look(at: id)
            let creation = collection.creation(request, call, id: id)
            guard state.status == .created, state.description == SessionDescription(creation) else {
                throw error
            }
            try collection.keepPassword(request, id: id)
            return id
        }
    }

    private func present(
        _ call: Call, _ id: String, status: Int = 200, headers: [HeaderField] = []
    ) throws -> Response {
        guard let session = try service.reads.session(id) else { throw SessionRejection.notFound }
        // The log is looked at last, so that both are of one moment or the log's part is the newer one.
        let state = try service.commands.look(at: id)
        let answer = RecordingStatusResponse(
            session, state,
            isRecorderAlive: state.status == .recording ? try marks.isAlive(id) : nil,
            waiting: try intake.waiting(id), droppedBytes: try intake.droppedBytes(of: id))
        var writer = JSONWriter(reserving: 2048)
        answer.encode(into: &writer)
        return .json(
            writer.bytes, status: status, headers: headers + [HeaderField("Cache-Control", "no-store")])
    }

    private func compression(_ call: Call) throws -> Response {
        try call.requireNoParameters()
        let algorithms = Codec.allCases.map { codec in
            CompressionStatsResponse.Algorithm(
                name: codec.rawValue,
                level: levels.first { $0.codec == codec.rawValue }?.level ?? codec.defaultLevel)
        }
        var writer = JSONWriter()
        CompressionStatsResponse(try totals.now(), algorithms: algorithms)
            .encode(into: &writer)
        return .json(writer.bytes)
    }
}
