internal import ChunkFiles
internal import Sealing
internal import APIKit
internal import Base
internal import EventSourcing
internal import HTTPServer
internal import Recording
internal import SessionContent

/// `/sessions/{id}/chunks`, and single chunks.
struct ChunkResource: Sendable {
    let service: SessionService
    let content: ContentService
    let uploads: UploadService
    let chunks: ChunkReads
    /// Largest chunk that may be uploaded, in bytes.
    let chunkBytes: Int

    var endpoints: [Endpoint] {
        let chunk = "/sessions/{id}/chunks/{chunk_id}"
        return [
            Endpoint(
                .get, "/sessions/{id}/chunks", .readChunks, .chunks, .chunkList, atOnce: keptList,
                answer: list),
            upload(at: "/sessions/{id}/chunks"),
            Endpoint(.get, chunk, .readChunks, .chunks, .chunkRead, answer: read),
            Endpoint(
                .get, chunk + "/download", .readSealed, .chunks, .chunkDownload, .content, answer: download),
            Endpoint(.get, chunk + "/proof", .readProof, .chunks, .chunkProof, answer: proof),
        ]
    }

    /// Takes one chunk as the body of a `POST`.
    func upload(at path: String) -> Endpoint {
        Endpoint(
            upload: path, .uploadChunk, .chunks, .chunkUpload, atMost: UInt64(chunkBytes)
        ) { call in
            try ChunkSink(
                call, try ChunkUpload(call.uploadParameters(), ofSession: try call.sessionID()), uploads,
                chunks)
        }
    }

    func list(_ call: Call) throws -> Response {
        let session = try call.sessionID()
        let query = try ChunkListQuery(call.parameters, ofSession: session)
        try service.session(call)
        return .json(try chunks.listAnswer(of: session, query, call.parameters, from: call.source))
    }

    /// What was answered before to the same question was a good question.
    private func keptList(_ call: Call) throws -> Response? {
        guard try service.keptSession(call) != nil else { return nil }
        return chunks.keptList(of: try call.sessionID(), call.parameters, from: call.source).map {
            .json($0)
        }
    }

    private func read(_ call: Call) throws -> Response {
        try call.requireNoParameters()
        let chunk = try chunk(call)
        var writer = JSONWriter()
        chunk.encode(into: &writer)
        return .json(writer.bytes, etag: EntityTag("\(chunk.version)"))
    }

    /// The bytes as they were recorded, or the sealed file, which is of no use without the key.
    private func download(_ call: Call) throws -> Response {
        let query = try ChunkDownloadQuery(call.parameters)
        let form = query.form
        call.notes?.note { notes in
            notes.purpose = query.purpose
            notes.details["form"] = form.rawValue
        }
        let id = call.identifier("chunk_id") ?? ""
        let found = try content.kept(call)
        if form == .original { try call.require(try service.session(call).ownership, for: .readContent) }
        guard let chunk = try found.history.chunk(id) else {
            throw ErrorInfo(.chunkNotFound, "the session has no such chunk")
        }
        let name = form == .original ? "\(id).bin" : "\(id).reel"
        let tag = form == .original ? "original-\(chunk.merkleHash)" : chunk.merkleHash.hex
        return try content.response(
            [chunk], form, etag: EntityTag(tag), headers: [Attachment.header(named: name)])
    }

    private func proof(_ call: Call) throws -> Response {
        try call.requireNoParameters()
        let id = call.identifier("chunk_id")
        guard let proof = try content.kept(call).tree().proof(where: { $0.chunkID == id }) else {
            throw ErrorInfo(.chunkNotFound, "the session has no such chunk")
        }
        var writer = JSONWriter()
        proof.encode(into: &writer)
        return .json(
            writer.bytes, etag: EntityTag("proof-\(proof.root.hex)-\(proof.inclusion.leafIndex)"))
    }

    /// The chunk in the path, for somebody who may do what is asked with its session.
    private func chunk(_ call: Call) throws -> ChunkView {
        let session = try call.sessionID()
        try service.session(call)
        guard let id = call.identifier("chunk_id"),
            let chunk = try chunks.chunk(id, of: session, from: call.source)
        else {
            throw ErrorInfo(.chunkNotFound, "the session has no such chunk")
        }
        return chunk
    }
}

/// Says that a body is a file to be kept.
enum Attachment {
    /// Ids hold nothing that would have to be quoted.
    static func header(named name: String) -> HeaderField {
        HeaderField("Content-Disposition", "attachment; filename=\"\(name)\"")
    }
}

extension Call {
    /// What an uploader says: the query, and the digest in `Content-Digest` (RFC 9530) where it stands there.
    func uploadParameters() throws -> [(name: String, value: String)] {
        var items = parameters
        guard let header = request.headers.list("Content-Digest"),
            !items.contains(where: { $0.name == "sha256" })
        else { return items }
        guard let digest = ContentDigest.sha256(in: header) else {
            throw RequestFailure.invalid([
                Violation("Content-Digest", "must hold sha-256=:…: with 32 bytes in base64")
            ])
        }
        items.append(("sha256", digest))
        return items
    }
}
