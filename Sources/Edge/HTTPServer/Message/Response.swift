internal import Glibc

/// A body that is made piece by piece while it is sent.
///
/// `next` runs on a thread of the transfer pool, never twice at once, and only when the client has taken
/// what came before; `close` is called once, whether or not the end was reached.
package protocol ByteStream: Sendable {
    /// The next piece; nil at the end. An error breaks the connection off, so that the client can tell
    /// a part from the whole.
    func next() throws -> [UInt8]?

    /// The body is sent, or nobody wants the rest.
    func close()
}

/// An open file whose bytes are sent without passing through this process.
package final class OpenFile: Sendable {
    /// The descriptor; closed when the object goes.
    let descriptor: CInt
    /// The file's size when it was opened, in bytes.
    package let byteCount: UInt64

    /// Opens a regular file for reading; nil, with `errno`, when that is impossible.
    package init?(path: String) {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { return nil }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(file)
            return nil
        }
        descriptor = file
        byteCount = UInt64(status.st_size)
    }

    deinit { close(descriptor) }

    /// Another descriptor of the same file, which is the caller's; nil when there are too many.
    func duplicate() -> CInt? {
        let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        return copy >= 0 ? copy : nil
    }
}

/// An answer. `If-None-Match`, `Range`, `If-Range`, compression, `HEAD`, request ids and security
/// headers are this layer's work: a handler always answers the whole resource.
package struct Response: Sendable {
    /// What the body comes from.
    enum Body: Sendable {
        case none
        case bytes([UInt8])
        case file(OpenFile, Range<UInt64>)
        case stream(any ByteStream, length: UInt64?)
        case ranged(UInt64, @Sendable (Range<UInt64>) throws -> any ByteStream)
        case events(EventStream)
    }

    /// The status code.
    package var status: Int
    /// Further headers. Not `Content-Length`, `Content-Type`, `ETag`, `Date`, `Connection`.
    package var headers: [HeaderField]
    /// The body's type; nil without a body.
    package var contentType: String?
    /// The version of what is answered; makes `If-None-Match` and `If-Range` work.
    package var etag: EntityTag?
    var body: Body

    init(_ status: Int, _ contentType: String?, _ body: Body, etag: EntityTag?, headers: [HeaderField]) {
        self.status = status
        self.contentType = contentType
        self.body = body
        self.etag = etag
        self.headers = headers
    }

    /// No body, such as 204.
    package static func empty(_ status: Int = 204, headers: [HeaderField] = []) -> Response {
        Response(status, nil, .none, etag: nil, headers: headers)
    }

    /// JSON text.
    package static func json(
        _ bytes: [UInt8], status: Int = 200, etag: EntityTag? = nil, headers: [HeaderField] = []
    ) -> Response {
        Response(status, "application/json", .bytes(bytes), etag: etag, headers: headers)
    }

    /// Bytes of any type.
    package static func bytes(
        _ bytes: [UInt8], type: String, status: Int = 200, etag: EntityTag? = nil,
        headers: [HeaderField] = []
    ) -> Response {
        Response(status, type, .bytes(bytes), etag: etag, headers: headers)
    }

    /// A file, or the part of it that the client asks for; sent by the kernel where there is no TLS.
    package static func file(
        _ file: OpenFile, type: String, etag: EntityTag? = nil, headers: [HeaderField] = []
    ) -> Response {
        Response(200, type, .file(file, 0..<file.byteCount), etag: etag, headers: headers)
    }

    /// Bytes that are made while they are sent. Without a length the body is chunked and has no ranges.
    package static func stream(
        _ stream: any ByteStream, length: UInt64? = nil, type: String, etag: EntityTag? = nil,
        headers: [HeaderField] = []
    ) -> Response {
        Response(200, type, .stream(stream, length: length), etag: etag, headers: headers)
    }

    /// Bytes that are made while they are sent, from any place on: `open` gets the wanted range of
    /// `0..<length` and gives exactly these bytes. It runs on the handler's thread.
    package static func ranged(
        length: UInt64, type: String, etag: EntityTag? = nil, headers: [HeaderField] = [],
        open: @escaping @Sendable (Range<UInt64>) throws -> any ByteStream
    ) -> Response {
        Response(200, type, .ranged(length, open), etag: etag, headers: headers)
    }

    /// Server-sent events; the connection stays open until the stream ends.
    package static func events(_ stream: EventStream, headers: [HeaderField] = []) -> Response {
        Response(200, "text/event-stream", .events(stream), etag: nil, headers: headers)
    }

    /// The body's bytes where they are there as a whole; for tests of handlers.
    package var bodyBytes: [UInt8]? {
        switch body {
        case .bytes(let bytes): bytes
        case .none: []
        default: nil
        }
    }
}
