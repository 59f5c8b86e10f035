internal import EventSourcing
internal import Glibc
internal import HTTPServer
internal import Recording
internal import Synchronization
internal import Vault

/// Takes a piece of a recording's stream, of any length: numbers and cuts it into chunks, each of which is in
/// the log when it is full, or some seconds old. What has arrived is kept: a connection that breaks ends the
/// chunk in hand, and so does whoever stops or pauses the recording over this process.
///
/// `@unchecked`: a sink's calls come one after the other; what `flush` uses from other threads, is used under
/// the lock alone.
final class StreamSink: BodySink, @unchecked Sendable {
    /// A chunk that is not full is closed after so long, so that little is lost with this process.
    private static let chunkMilliseconds: Int64 = 10_000
    /// So long the sender waits for the stages to catch up, before it is sent away.
    private static let patienceMilliseconds: Int64 = 10_000
    private static let lookMicroseconds: UInt32 = 50_000

    let session: String
    private let call: Call
    private let description: SessionDescription
    private let key: SessionKey
    private let append: StreamAppend
    private var isBroken = false

    private let lock = Mutex(())
    private var hand: Hand?
    /// When the first byte came.
    private var beganAt: Timestamp?
    /// Why what was in hand could not be recorded, for whoever sent it.
    private var loss: (any Error)?
    private var chunks: [String] = []
    private var recordedBytes = 0

    /// The chunk in hand, and when it began and bytes last came to it, by our clock.
    private struct Hand {
        let intake: ChunkIntake
        let most: Int
        let first: Timestamp
        var last: Timestamp

        var isDue: Bool {
            intake.byteCount == most || last.milliseconds(since: first) >= chunkMilliseconds
        }
    }

    /// Looks at everything that can be known before the bytes.
    init(_ call: Call, _ append: StreamAppend) throws {
        self.call = call
        self.append = append
        session = try call.sessionID()
        let core = call.core
        let state = try call.state(of: session)
        guard let description = state.description else { throw SessionRejection.notFound }
        self.description = description
        try Self.requireRecording(state)
        if let time = append.capturedAt,
            let broken = CaptureTime.violation(time, now: core.now())
        {
            throw RequestFailure.invalid([broken])
        }
        guard try UploadDesk(core: core, context: call.context).waiting(session) == 0 else {
            throw ErrorInfo(
                .wrongState,
                "chunks that were given with their numbers wait for chunk \(state.chunkCount + 1): it can only "
                    + "be given with its number, too")
        }
        if let offset = append.offset, offset != state.sizeBytes {
            throw ErrorInfo(.wrongState, "the recording goes on at byte \(state.sizeBytes), not at \(offset)")
        }
        try UploadAdmission.requireRoom(for: 1, in: state, core)
        try UploadAdmission.requireProgress(of: state)
        key = try core.parts.keys.key(ofSession: session)
        try core.marks.beat(session)
        core.openStreams.add(self)
    }

    private static func requireRecording(_ state: SessionState) throws {
        guard state.status == .recording else {
            throw SessionRejection.wrongState(state.status ?? .deleted, command: "record a chunk")
        }
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        do {
            try take(bytes)
            try call.core.marks.beat(session)
        } catch {
            isBroken = true
            lock.withLock { _ in hand = nil }
            throw error
        }
    }

    func finish(byteCount: UInt64) throws -> Response {
        defer { call.core.openStreams.remove(self) }
        guard byteCount > 0 else {
            throw RequestFailure.invalid([Violation("body", "must not be empty")])
        }
        try flush()
        let state = try call.core.desk.look(at: session)
        var writer = JSONWriter()
        lock.withLock { _ in
            writer.object { json in
                json.member("session_id", session)
                json.member("recorded_bytes", recordedBytes)
                json.member("chunk_ids", chunks)
                json.member("next_sequence_number", state.chunkCount + 1)
                json.member("next_offset", state.sizeBytes)
                let remark = append.capturedAt.flatMap { CaptureTime.remark($0, now: call.core.now()) }
                json.remarks([remark].compactMap { $0 })
            }
        }
        return .json(writer.bytes, status: 201)
    }

    var takesParts: Bool { true }

    func abandon() {
        defer { call.core.openStreams.remove(self) }
        // Whoever sent it finds out by the recording's next offset how far it has come.
        if !isBroken { try? flush() }
    }

    /// Records the chunk in hand, if there is any of it.
    func flush() throws {
        try lock.withLock { _ in
            if let loss { throw loss }
            do { try close() } catch {
                loss = error
                throw error
            }
        }
    }

    private func take(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let isFree = try lock.withLock { _ in
                if let loss { throw loss }
                return hand == nil
            }
            if isFree { try waitForRoom() }
            try lock.withLock { _ in
                // Somebody may have closed it just now.
                guard var hand else { return }
                let part = rest.prefix(hand.most - hand.intake.byteCount)
                try hand.intake.write(UnsafeRawBufferPointer(rebasing: part))
                hand.last = call.core.now()
                rest = rest.dropFirst(part.count)
                self.hand = hand
                if hand.isDue { try close() }
            }
        }
    }

    /// False when the spool has no room.
    private func begin(_ state: SessionState, orFail: Bool) throws -> Bool {
        do {
            try lock.withLock { _ in hand = try begin(state) }
            return true
        } catch {
            if !orFail, let failure = error as? StorageFailure, case .full = failure { return false }
            throw error
        }
    }

    private func begin(_ state: SessionState) throws -> Hand {
        let core = call.core
        try Self.requireRecording(state)
        try UploadAdmission.requireRoom(for: 1, in: state, core)
        let most = min(core.settings.chunkBytes, description.storage.maximumBytes - state.sizeBytes)
        let now = core.now()
        if beganAt == nil { beganAt = now }
        return Hand(
            intake: try ChunkIntake(
                core, description, key: key, session: session, sequence: state.chunkCount + 1, length: most),
            most: most, first: now, last: now)
    }

    private func close() throws {
        guard let hand else { return }
        self.hand = nil
        guard hand.intake.byteCount > 0 else { return }
        let state = try call.core.desk.look(at: session)
        let reference = ChunkReference(sessionID: session, sequenceNumber: state.chunkCount + 1)
        let since = hand.first.milliseconds(since: beganAt ?? hand.first)
        let chunk = try hand.intake.finish(
            as: reference,
            capturedAt: append.capturedAt.map { $0.advanced(byMilliseconds: since) }
                ?? hand.first,
            durationSeconds: Double(max(0, hand.last.milliseconds(since: hand.first))) / 1000)
        guard case .recorded = try UploadDesk(core: call.core, context: call.context).take(chunk) else {
            throw SessionRejection.chunkTaken(number: reference.sequenceNumber)
        }
        chunks.append(reference.chunkID)
        recordedBytes += chunk.content.sizeBytes
    }

    /// Begins the next chunk. Nothing more is read from the sender while too much waits for the stages, or
    /// the spool has no room.
    private func waitForRoom() throws {
        let end = ContinuousClock.now + .milliseconds(Self.patienceMilliseconds)
        while true {
            let isLast = ContinuousClock.now >= end
            let state = try call.core.desk.look(at: session)
            if isLast { try UploadAdmission.requireProgress(of: state) }
            if UploadAdmission.backlog(of: state) < ChunkUpload.window, try begin(state, orFail: isLast) {
                return
            }
            try call.core.marks.beat(session)
            usleep(Self.lookMicroseconds)
        }
    }
}

/// The streams that are being taken, so that whoever ends a recording has all of what has arrived.
final class OpenStreams: Sendable {
    private let open = Mutex<[String: [ObjectIdentifier: StreamSink]]>([:])

    func add(_ sink: StreamSink) {
        open.withLock { $0[sink.session, default: [:]][ObjectIdentifier(sink)] = sink }
    }

    func remove(_ sink: StreamSink) {
        open.withLock { open in
            open[sink.session]?[ObjectIdentifier(sink)] = nil
            if open[sink.session]?.isEmpty == true { open[sink.session] = nil }
        }
    }

    /// Records what the session's streams have in hand. What fails is answered to their senders.
    func flush(_ session: String) {
        let sinks = open.withLock { Array($0[session, default: [:]].values) }
        for sink in sinks { try? sink.flush() }
    }
}
