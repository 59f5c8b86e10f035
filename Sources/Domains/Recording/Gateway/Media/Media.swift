internal import APIKit
internal import Base
internal import EventSourcing
internal import HTTPServer
internal import Recording
internal import SessionContent
internal import ChunkFiles
internal import Files
internal import Sealing

extension DownloadForm {
    /// Length of a chunk in this form, in bytes.
    fileprivate func byteCount(_ chunk: SealedChunk) -> Int {
        switch self {
        case .original: chunk.recorded.originalBytes
        case .sealed: chunk.sealedBytes
        }
    }
}

/// What gives out recorded bytes, checked and opened chunk by chunk while they are sent.
struct ContentService: Sendable {
    let service: SessionService
    let cache: SessionContentCache
    let streams: ContentStreams
    let chunks: ChunkStore
    let keys: any SessionKeyAccess

    /// What the log says of the content of the session in the path, for somebody who may do what is asked.
    func kept(_ call: Call) throws -> SessionContentCache.Kept {
        let answer = try service.session(call)
        guard let kept = try cache.session(try call.sessionID(), atLeast: answer.version) else {
            throw SessionRejection.notFound
        }
        return kept
    }

    func response(
        _ chunks: [SealedChunk], _ form: DownloadForm, etag: EntityTag, headers: [HeaderField]
    ) throws -> Response {
        let length = UInt64(chunks.reduce(0) { $0 + form.byteCount($1) })
        return .ranged(
            length: length, type: "application/octet-stream", etag: etag, headers: headers
        ) { range in
            do { return try ContentStream(self, chunks, form, range) } catch {
                throw ErrorAnswers.recording.answer(error)
            }
        }
    }
}

/// `/sessions/{id}/media`: all that was recorded.
struct Media: Sendable {
    let content: ContentService

    var endpoints: [Endpoint] {
        [
            Endpoint(
                .get, "/sessions/{id}/media", .readContent, .chunks, .mediaDownload, .content,
                answer: media)
        ]
    }

    private func media(_ call: Call) throws -> Response {
        let query = try MediaQuery(call.parameters)
        call.notes?.note { $0.purpose = query.purpose }
        let id = try call.sessionID()
        let contents = try content.kept(call).contents.get()
        try contents.requireEnd(in: content.chunks)
        return try content.response(
            contents.chunks, .original,
            etag: EntityTag("media-\(contents.chunks.count)-\(contents.sizeBytes)"),
            headers: [Attachment.header(named: "\(id).bin")])
    }
}

/// How many recordings are sent at once: each holds a chunk in memory.
final class ContentStreams: Sendable {
    private let count = Lock(0)
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    func begin() throws {
        try count.withLock { count throws(ErrorInfo) in
            guard count < limit else {
                throw ErrorInfo(
                    .dependencyUnavailable, "\(count) recordings are being sent already", retryAfter: 2)
            }
            count += 1
        }
    }

    func end() { count.withLock { $0 -= 1 } }
}

/// The bytes of a range, chunk by chunk: each is checked and opened as a whole when the client has taken the
/// one before. A chunk that does not hold ends the connection; where it is the first one, it is the answer.
///
/// `@unchecked`: a stream's calls come one after the other.
final class ContentStream: ByteStream, @unchecked Sendable {
    private static let pieceBytes = 256 << 10

    private let content: ContentService
    private let chunks: [SealedChunk]
    private let form: DownloadForm
    private let key: SessionKey?
    private let reader = SealedFileReader()
    private let image = ScratchBuffer()
    private let original = ScratchBuffer()
    private var place = 0
    private var offset = 0
    private var left: Int
    private var isOpen = false

    /// Opens the first chunk that is wanted.
    init(_ content: ContentService, _ chunks: [SealedChunk], _ form: DownloadForm, _ range: Range<UInt64>)
        throws
    {
        self.content = content
        self.chunks = chunks
        self.form = form
        left = Int(range.count)
        var skip = Int(range.lowerBound)
        while place < chunks.count, skip >= form.byteCount(chunks[place]) {
            skip -= form.byteCount(chunks[place])
            place += 1
        }
        key = try chunks.first.map { try content.keys.key(ofSession: $0.sessionID) }
        try content.streams.begin()
        isOpen = true
        if left > 0 {
            try open()
            offset = skip
        }
    }

    /// What is sent of the chunk that is open.
    private var bytes: ScratchBuffer { form == .sealed ? image : original }

    func next() throws -> [UInt8]? {
        guard left > 0 else { return nil }
        while offset == bytes.count { try open() }
        let count = min(left, Self.pieceBytes, bytes.count - offset)
        let piece = bytes.withBytes { [UInt8]($0[offset..<offset + count]) }
        offset += count
        left -= count
        return piece
    }

    func close() {
        guard isOpen else { return }
        isOpen = false
        content.streams.end()
    }

    deinit { close() }

    private func open() throws {
        guard place < chunks.count, let key else {
            throw ErrorInfo(.storage, "the chunks hold less than was recorded", status: 500)
        }
        let chunk = chunks[place]
        // A sealed file too: whoever can write log and store can make one that no key opens.
        try reader.open(chunk, from: content.chunks, key: key, image: image, into: original)
        offset = 0
        place += 1
    }
}

extension SealedChunk {
    fileprivate var sessionID: String { identity.sessionID }
}
