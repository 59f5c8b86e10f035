internal import EventSourcing
internal import HTTPServer
internal import Recording
internal import Vault

/// Takes the body of one uploaded chunk: piece by piece into the spool and through both digests.
///
/// `@unchecked`: a sink's calls come one after the other.
final class ChunkSink: BodySink, @unchecked Sendable {
    private let call: Call
    private let request: ChunkUpload
    private let digest = SHA256()
    private var intake: ChunkIntake?

    /// Looks at everything that can be known before the bytes.
    init(_ call: Call, _ request: ChunkUpload) throws {
        self.call = call
        self.request = request
        let core = call.core
        let session = request.chunk.sessionID
        let state = try call.state(of: session)
        try Self.requireTurn(of: request.chunk, in: state)
        if let broken = CaptureTime.violation(request.capturedAt, now: core.now()) {
            throw RequestFailure.invalid([broken])
        }
        let length = Int(clamping: call.request.contentLength ?? UInt64(core.settings.chunkBytes))
        try UploadAdmission.requireRoom(for: length, in: state, core)
        guard let description = state.description else { throw SessionRejection.notFound }
        let key = try core.parts.keys.key(ofSession: session)
        try core.marks.beat(session)
        // Chunks that have to wait leave room for the one that they wait for.
        let isEarly = request.chunk.sequenceNumber > state.chunkCount + 1
        intake = try ChunkIntake(
            core, description, key: key, session: session, sequence: request.chunk.sequenceNumber,
            length: length, leaving: isEarly ? core.settings.chunkBytes : 0)
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        digest.update(bytes)
        try intake?.write(bytes)
        // A slow upload is the sign of life of whoever records.
        try call.core.marks.beat(request.chunk.sessionID)
    }

    func finish(byteCount: UInt64) throws -> Response {
        guard let intake else { throw ErrorInfo(.malformedRequest, "the upload was given up") }
        guard byteCount > 0 else {
            throw RequestFailure.invalid([Violation("body", "must not be empty")])
        }
        let found = digest.finish().hex
        if let expected = request.digest, expected != found {
            throw RequestFailure.invalid([Violation("sha256", "is not the digest of the bytes that arrived")])
        }
        let chunk = try intake.finish(
            as: request.chunk, capturedAt: request.capturedAt, durationSeconds: request.durationSeconds,
            frameCount: request.frameCount, droppedFrames: request.droppedFrames,
            qualityScore: request.qualityScore)
        self.intake = nil
        return try answer(try UploadDesk(core: call.core, context: call.context).take(chunk), chunk)
    }

    func abandon() { intake = nil }

    private func answer(_ outcome: UploadDesk.Outcome, _ chunk: ChunkEvent.Recorded) throws -> Response {
        let path = "\(call.mount.prefix)/sessions/\(chunk.chunk.sessionID)/chunks/\(chunk.chunk.chunkID)"
        // Other services have no path for single chunks.
        let location = call.mount.service == .api ? [HeaderField("Location", path)] : []
        let remarks = [CaptureTime.remark(request.capturedAt, now: call.core.now())].compactMap { $0 }
        switch outcome {
        case .held(let number):
            var writer = JSONWriter()
            writer.object { json in
                json.member("chunk_id", chunk.chunk.chunkID)
                json.member("session_id", chunk.chunk.sessionID)
                json.member("sequence_number", chunk.chunk.sequenceNumber)
                json.member("size_bytes", chunk.content.sizeBytes)
                json.member("waiting_for", number)
                json.remarks(remarks)
            }
            return .json(writer.bytes, status: 202)
        case .present, .recorded:
            let stamp = EventStamp(time: call.core.now(), sequence: 0, position: .start(of: 0))
            var view = ChunkView(.recorded(chunk), stamp)
            var isNew = true
            if case .present = outcome {
                isNew = false
                view =
                    try call.core.chunks.chunk(
                        chunk.chunk.chunkID, of: chunk.chunk.sessionID, from: call.source) ?? view
            }
            var writer = JSONWriter()
            view?.encode(into: &writer, remarks: remarks)
            return .json(writer.bytes, status: isNew ? 201 : 200, headers: location)
        }
    }

    /// Refuses what can't be recorded whatever the bytes are.
    private static func requireTurn(of chunk: ChunkReference, in state: SessionState) throws {
        let violations = chunk.violations
        guard violations.isEmpty else { throw RequestFailure.invalid(violations) }
        // One that is there already is compared with it, in whatever state the session is by now.
        if let known = state.chunk(chunk.sequenceNumber) {
            guard known == chunk else { throw SessionRejection.chunkTaken(number: chunk.sequenceNumber) }
            return
        }
        guard state.status == .recording else {
            throw SessionRejection.wrongState(state.status ?? .deleted, command: "record a chunk")
        }
        let next = state.chunkCount + 1
        guard chunk.sequenceNumber <= next + ChunkUpload.window else {
            throw SessionRejection.outOfOrder(expected: next, got: chunk.sequenceNumber)
        }
        try UploadAdmission.requireProgress(of: state)
    }
}
