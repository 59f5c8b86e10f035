internal import APIKit
internal import Base
internal import EventSourcing
internal import HTTPServer
internal import Intake
internal import Recording
internal import ReadModels

/// Takes the body of one uploaded chunk.
///
/// `@unchecked`: a sink's calls come one after the other.
final class ChunkSink: BodySink, @unchecked Sendable {
    private let call: Call
    private let uploads: UploadService
    private let chunks: ChunkReads
    private let session: String
    private let chunk: NumberedChunk
    private let capturedAt: Timestamp

    /// Looks at everything that can be known before the bytes.
    init(
        _ call: Call, _ upload: ChunkUpload, _ uploads: UploadService, _ chunks: ChunkReads
    ) throws {
        self.call = call
        self.uploads = uploads
        self.chunks = chunks
        session = upload.chunk.sessionID
        capturedAt = upload.capturedAt
        try uploads.service.state(of: session, call)
        if let broken = CaptureTime.violation(upload.capturedAt, now: uploads.service.now()) {
            throw RequestFailure.invalid([broken])
        }
        chunk = try uploads.intake.openChunk(
            upload, length: call.request.contentLength.map { Int(clamping: $0) },
            key: try uploads.keys.key(ofSession: session), context: call.context)
        do { try uploads.marks.beat(session) } catch {
            chunk.breakOff()
            throw error
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        try chunk.write(bytes)
        // A slow upload is the sign of life of whoever records.
        try uploads.marks.beat(session)
    }

    func finish(byteCount: UInt64) throws -> Response {
        let (outcome, recorded) = try chunk.finish()
        return try answer(outcome, recorded)
    }

    func abandon() { chunk.breakOff() }

    private func answer(_ outcome: NumberedChunk.Outcome, _ chunk: ChunkEvent.Recorded) throws -> Response {
        let path = "\(call.mount.prefix)/sessions/\(session)/chunks/\(chunk.chunk.chunkID)"
        // Other services have no path for single chunks.
        let location =
            call.mount.service == GatewayService.api.rawValue ? [HeaderField("Location", path)] : []
        let remarks = [CaptureTime.remark(capturedAt, now: uploads.service.now())].compactMap { $0 }
        switch outcome {
        case .held(let number):
            var writer = JSONWriter()
            writer.object { json in
                json.member("chunk_id", chunk.chunk.chunkID)
                json.member("session_id", session)
                json.member("sequence_number", chunk.chunk.sequenceNumber)
                json.member("size_bytes", chunk.content.sizeBytes)
                json.member("waiting_for", number)
                json.remarks(remarks)
            }
            return .json(writer.bytes, status: 202)
        case .present, .recorded:
            let stamp = EventStamp(time: uploads.service.now(), sequence: 0, position: .start(of: 0))
            var view = ChunkView(.recorded(chunk), stamp)
            var isNew = true
            if case .present = outcome {
                isNew = false
                view = try chunks.chunk(chunk.chunk.chunkID, of: session, from: call.source) ?? view
            }
            var writer = JSONWriter()
            view?.encode(into: &writer, remarks: remarks)
            return .json(writer.bytes, status: isNew ? 201 : 200, headers: location)
        }
    }
}
