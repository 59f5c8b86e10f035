internal import EventSourcing
internal import HTTPServer
internal import Recording
internal import Synchronization
internal import Vault

/// One stored chunk as a part of what was recorded.
struct MediaPiece: Sendable, Hashable {
    let chunkID: String
    let sessionID: String
    let sequenceNumber: Int
    let byteCount: Int

    init(_ chunk: ChunkView) {
        chunkID = chunk.chunkID
        sessionID = chunk.sessionID
        sequenceNumber = chunk.sequenceNumber
        byteCount = chunk.sizeBytes
    }
}

/// Recorded bytes, opened chunk by chunk while they are sent.
enum Media {
    static let endpoints: [Endpoint] = [
        Endpoint(
            .get, "/sessions/{id}/media", .readContent, .chunks, .mediaDownload, .content, answer: media)
    ]

    private static func media(_ call: Call) throws -> Response {
        let query = try MediaQuery(call.parameters)
        call.notes?.note { $0.purpose = query.purpose }
        let session = try call.session()
        let id = try call.sessionID()
        guard session.status == .completed || session.status == .processing || session.status == .stopped
        else {
            throw ErrorInfo(.wrongState, "the session is \(session.status.rawValue), not recorded to its end")
        }
        let pieces = try call.core.media.pieces(of: id, version: session.version)
        return try response(
            call, pieces, etag: EntityTag("media-\(pieces.count)-\(pieces.reduce(0) { $0 + $1.byteCount })"),
            headers: [Attachment.header(named: "\(id).bin")])
    }

    static func response(
        _ call: Call, _ pieces: [MediaPiece], etag: EntityTag, headers: [HeaderField]
    ) throws -> Response {
        let core = call.core
        let length = UInt64(pieces.reduce(0) { $0 + $1.byteCount })
        return .ranged(
            length: length, type: "application/octet-stream", etag: etag, headers: headers
        ) { range in
            try MediaStream(core, pieces, range)
        }
    }
}

/// What sessions' media consist of, and how many are sent at once.
final class MediaShelf: Sendable {
    private static let sessionsKept = 64

    private struct Kept: Sendable {
        var version: UInt64
        var pieces: [MediaPiece]
    }

    private let chunks: ChunkReads
    private let kept = Shelf<String, Kept>(limit: sessionsKept)
    private let streams = Mutex(0)
    private let streamsAtOnce: Int

    init(_ chunks: ChunkReads, streamsAtOnce: Int) {
        self.chunks = chunks
        self.streamsAtOnce = streamsAtOnce
    }

    /// The session's chunks, all of which have to be stored.
    func pieces(of session: String, version: UInt64) throws -> [MediaPiece] {
        if let kept = kept[session], kept.version == version { return kept.pieces }
        let all = try chunks.all(of: session)
        for (index, chunk) in all.enumerated()
        where chunk.sequenceNumber != index + 1 || chunk.storagePath == nil {
            throw ErrorInfo(.wrongState, "chunk \(index + 1) is not stored yet", retryAfter: 1)
        }
        let pieces = all.map(MediaPiece.init)
        kept[session] = Kept(version: version, pieces: pieces)
        return pieces
    }

    /// Each stream holds a chunk in memory, so there are only so many.
    func begin() throws {
        try streams.withLock { count throws(ErrorInfo) in
            guard count < streamsAtOnce else {
                throw ErrorInfo(
                    .dependencyUnavailable, "\(count) recordings are being sent already", retryAfter: 2)
            }
            count += 1
        }
    }

    func end() { streams.withLock { $0 -= 1 } }
}

/// The bytes of a range, chunk by chunk: each is verified and opened when the client has taken the one
/// before.
///
/// `@unchecked`: a stream's calls come one after the other.
final class MediaStream: ByteStream, @unchecked Sendable {
    private static let pieceBytes = 256 << 10

    private let core: Core
    private let pieces: [MediaPiece]
    private let key: SessionKey?
    private let opener = Opener()
    private let image = ScratchBuffer()
    private let original = ScratchBuffer()
    private var place = 0
    private var offset = 0
    private var left: Int
    private var skip: Int
    private var isOpen = false

    init(_ core: Core, _ pieces: [MediaPiece], _ range: Range<UInt64>) throws {
        self.core = core
        self.pieces = pieces
        left = Int(range.count)
        skip = Int(range.lowerBound)
        while place < pieces.count, skip >= pieces[place].byteCount {
            skip -= pieces[place].byteCount
            place += 1
        }
        key = try pieces.first.map { try core.parts.keys.key(ofSession: $0.sessionID) }
        try core.media.begin()
        isOpen = true
    }

    func next() throws -> [UInt8]? {
        guard left > 0 else { return nil }
        while offset == original.count {
            guard place < pieces.count else {
                throw ErrorInfo(.storage, "the chunks hold less than was recorded", status: 500)
            }
            try open()
        }
        let count = min(left, Self.pieceBytes, original.count - offset)
        let bytes = original.withBytes { [UInt8]($0[offset..<offset + count]) }
        offset += count
        left -= count
        return bytes
    }

    func close() {
        guard isOpen else { return }
        isOpen = false
        core.media.end()
    }

    deinit { close() }

    private func open() throws {
        let piece = pieces[place]
        try core.parts.chunks.read(
            session: piece.sessionID, sequence: piece.sequenceNumber, into: image)
        let identity = try ChunkIdentity(
            chunkID: piece.chunkID, sessionID: piece.sessionID, sequenceNumber: piece.sequenceNumber)
        try image.withBytes { bytes throws(SealFailure) in
            _ = try opener.open(
                bytes, key: key, expecting: identity, maximumOriginalBytes: piece.byteCount, into: original)
        }
        guard original.count == piece.byteCount else {
            throw ErrorInfo(.storage, "a chunk has another length than was recorded", status: 500)
        }
        offset = skip
        skip = 0
        place += 1
    }
}
