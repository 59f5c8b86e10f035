internal import Base
internal import EventSourcing
internal import Recording
internal import ChunkFiles
internal import Files
internal import Sealing

/// One chunk on its way in: piece by piece into the spool and through the keyed digest. What is not finished
/// is removed with its last owner. One caller at a time.
final class ChunkWriter {
    private let description: SessionDescription
    private let keyID: String
    private let digester: HMACSHA256
    private let file: SpoolWriter

    /// - Parameter digester: the key's; nobody else uses it meanwhile.
    init(_ file: SpoolWriter, _ description: SessionDescription, keyID: String, digester: HMACSHA256) {
        self.file = file
        self.description = description
        self.keyID = keyID
        self.digester = digester
        digester.reset()
    }

    /// Bytes so far.
    var byteCount: Int { file.byteCount }

    func write(_ bytes: UnsafeRawBufferPointer) throws(StorageFailure) {
        digester.update(bytes)
        try file.append(bytes)
    }

    /// Makes the bytes durable, and says what is to be recorded of them.
    func finish(
        as chunk: ChunkReference, capturedAt: Timestamp, durationSeconds: Double, frameCount: Int = 0,
        droppedFrames: Int = 0, qualityScore: Double? = nil
    ) throws(StorageFailure) -> ChunkEvent.Recorded {
        let path = try file.commit(as: chunk.sequenceNumber)
        return ChunkEvent.Recorded(
            chunk: chunk,
            content: ChunkContent(
                sizeBytes: file.byteCount, digest: digester.finish().hex, keyID: keyID,
                cipher: description.storage.encryptionEnabled ? "xchacha20poly1305" : "none"),
            codec: description.storage.compressionEnabled ? description.recording.compression : "none",
            capturedAt: capturedAt, durationSeconds: durationSeconds, frameCount: frameCount,
            droppedFrames: droppedFrames, qualityScore: qualityScore, spoolPath: path)
    }
}
