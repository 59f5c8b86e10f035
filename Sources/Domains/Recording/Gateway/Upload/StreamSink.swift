internal import APIKit
internal import Base
internal import EventSourcing
internal import HTTPServer
internal import Intake
internal import Recording

/// Takes a piece of a recording's stream, of any length, as a request's body.
final class StreamSink: BodySink {
    private let uploads: UploadService
    private let stream: StreamWriter
    /// When the sender says that the first byte was captured.
    private let capturedAt: Timestamp?

    /// Looks at everything that can be known before the bytes.
    init(_ call: Call, _ append: StreamAppend, _ uploads: UploadService) throws {
        self.uploads = uploads
        let session = try call.sessionID()
        try uploads.service.state(of: session, call)
        if let time = append.capturedAt, let broken = CaptureTime.violation(time, now: uploads.service.now())
        {
            throw RequestFailure.invalid([broken])
        }
        // Nobody loses a stream to a request that brings nothing.
        guard call.request.contentLength != 0 else { throw Self.empty }
        capturedAt = append.capturedAt
        var order = StreamOrder(session: session, context: call.context)
        order.offset = append.offset
        order.capturedAt = append.capturedAt
        order.promisedBytes = call.request.contentLength.map { Int(clamping: $0) }
        order.whilePaused = append.refusesWhilePaused ? .refuse : .drop
        stream = try uploads.intake.openStream(order, key: try uploads.keys.key(ofSession: session))
        do { try uploads.marks.beat(session) } catch {
            stream.breakOff()
            throw error
        }
    }

    private static let empty = RequestFailure.invalid([Violation("body", "must not be empty")])

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        try stream.write(bytes)
        // Whoever is paused need not be heard of.
        if !stream.isHeld { try uploads.marks.beat(stream.session) }
    }

    func finish(byteCount: UInt64) throws -> Response {
        guard byteCount > 0 else {
            stream.cancel()
            throw Self.empty
        }
        let summary = try stream.finish()
        var writer = JSONWriter()
        let remark = capturedAt.flatMap { CaptureTime.remark($0, now: uploads.service.now()) }
        writer.object { json in
            json.member("session_id", stream.session)
            json.member("recorded_bytes", summary.recordedBytes)
            json.member("dropped_bytes", summary.droppedBytes)
            json.member("chunk_ids", summary.chunkIDs)
            json.member("next_sequence_number", summary.next.sequenceNumber)
            json.member("next_offset", summary.next.offset)
            json.remarks([remark].compactMap { $0 })
        }
        return .json(writer.bytes, status: 201)
    }

    var takesParts: Bool { true }

    var mayRest: Bool { stream.isHeld }

    /// Whoever sent it finds out by the recording's next offset how far it has come.
    func abandon() { stream.breakOff() }
}
