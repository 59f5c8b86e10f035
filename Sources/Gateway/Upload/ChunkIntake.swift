internal import Arithmetic
internal import EventSourcing
internal import Recording
internal import Vault

/// One chunk on its way in: piece by piece into the spool and through the keyed digest. What is not finished
/// is removed with its last owner. One caller at a time.
final class ChunkIntake {
    private let description: SessionDescription
    private let keyID: String
    private let authenticator: HMACSHA256
    private let upload: SpoolUpload

    /// - Parameters:
    ///   - length: its length, or the most that it may have.
    ///   - leaving: room in the spool, in bytes, that is left for others.
    init(
        _ core: Core, _ description: SessionDescription, key: SessionKey, session: String, sequence: Int,
        length: Int, leaving: Int = 0
    ) throws {
        self.description = description
        keyID = key.keyID
        authenticator = key.contentDigester()
        authenticator.reset()
        upload = try core.parts.spool.begin(
            session: session, sequence: sequence, stage: "upload", byteCount: length, leaving: leaving)
    }

    /// Bytes so far.
    var byteCount: Int { upload.byteCount }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        authenticator.update(bytes)
        try upload.append(bytes)
    }

    /// Makes the bytes durable, and says what is to be recorded of them.
    func finish(
        as chunk: ChunkReference, capturedAt: Timestamp, durationSeconds: Double, frameCount: Int = 0,
        droppedFrames: Int = 0, qualityScore: Double? = nil
    ) throws -> ChunkEvent.Recorded {
        try upload.commit()
        return ChunkEvent.Recorded(
            chunk: chunk,
            content: ChunkContent(
                sizeBytes: upload.byteCount, digest: authenticator.finish().hex, keyID: keyID,
                cipher: description.storage.encryptionEnabled ? "xchacha20poly1305" : "none"),
            codec: description.storage.compressionEnabled ? description.recording.compression : "none",
            capturedAt: capturedAt, durationSeconds: durationSeconds, frameCount: frameCount,
            droppedFrames: droppedFrames, qualityScore: qualityScore, spoolPath: upload.relative)
    }
}

/// What is looked at before bytes are taken.
enum UploadAdmission {
    /// Refuses what would make the session larger than it may be, and anything while a disk is short.
    static func requireRoom(for length: Int, in state: SessionState, _ core: Core) throws {
        guard let description = state.description else { throw SessionRejection.notFound }
        if let violation = description.storage.violation(ofBytes: state.sizeBytes +| length) {
            throw ErrorInfo(
                .tooLarge, "the session would have more than it may have: \(violation)",
                violations: [violation])
        }
        if let room = try core.parts.diskGuard?.tightest(), room.state == .closing {
            throw DiskShortage(room)
        }
    }

    /// Chunks that are recorded and neither stored nor given up.
    static func backlog(of state: SessionState) -> Int {
        state.chunkCount - state.merkleHashes.count - state.failures.count
    }

    /// Refuses more while too many chunks wait for the stages.
    static func requireProgress(of state: SessionState) throws {
        let backlog = backlog(of: state)
        guard backlog < ChunkUpload.window else {
            throw ErrorInfo(
                .dependencyUnavailable,
                "\(backlog) chunks are not stored yet; processing has to catch up first", retryAfter: 1)
        }
    }
}
