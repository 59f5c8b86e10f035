/// What will really be sent: conditions, ranges and compression applied. Still without libmicrohttpd.
struct PreparedResponse {
    var status: Int
    var headers: [HeaderField]
    var body: Response.Body

    /// Whether nobody can say how long the body is before it ends.
    var isWithoutLength: Bool {
        switch body {
        case .events, .stream(_, length: nil): true
        default: false
        }
    }

    /// Applies what the request asks for. A failing `ranged` body throws.
    init(_ response: Response, to request: Request?, compressFrom threshold: Int) throws {
        status = response.status
        headers = response.headers
        body = response.body
        let isRead = request?.method == "GET" || request?.method == "HEAD"
        if isRead, status == 200, let etag = response.etag, let request,
            let list = request.headers.list("If-None-Match"),
            EntityTag.list(list).matches(etag, weakly: true)
        {
            // The body stays: libmicrohttpd sends its length alone, which must be that of a 200.
            status = 304
        }
        var etag = response.etag
        if let contentType = response.contentType {
            headers.append(HeaderField("Content-Type", contentType))
            if Negotiation.isCompressible(contentType), case .bytes(let bytes) = body {
                headers.append(HeaderField("Vary", "Accept-Encoding"))
                if bytes.count >= threshold, status != 206,
                    Negotiation.acceptsGzip(request?.headers.list("Accept-Encoding")),
                    let compressed = Gzip.compress(bytes)
                {
                    body = .bytes(compressed)
                    headers.append(HeaderField("Content-Encoding", "gzip"))
                    etag = etag?.compressed
                }
            }
        }
        if let etag { headers.append(HeaderField("ETag", etag.text)) }
        if !headers.contains(where: { $0.name == "Cache-Control" }) {
            // What has a version may be kept by its reader alone, who has to ask whether it still is so;
            // recordings are in nobody's cache.
            var isText = false
            if case .bytes = body { isText = true }
            let rule = etag != nil && isText ? "private, no-cache" : "no-store"
            headers.append(HeaderField("Cache-Control", rule))
        }
        try applyRange(response, isRead ? request : nil)
    }

    /// Ranges are for GET and HEAD of files and ranged streams.
    private mutating func applyRange(_ response: Response, _ request: Request?) throws {
        let length: UInt64
        switch body {
        case .file(let file, _): length = file.byteCount
        case .ranged(let count, _): length = count
        default: return
        }
        headers.append(HeaderField("Accept-Ranges", "bytes"))
        var wanted = WantedRange.all
        if status == 200, let request {
            wanted = WantedRange(request.headers["Range"], length: length)
            if let condition = request.headers["If-Range"] {
                let isSame = response.etag.map {
                    EntityTag.list(condition) != .any && EntityTag.list(condition).matches($0, weakly: false)
                }
                if isSame != true { wanted = .all }
            }
        }
        var range = 0..<length
        switch wanted {
        case .all: break
        case .part(let part):
            range = part
            status = 206
            headers.append(
                HeaderField("Content-Range", "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(length)"))
        case .unsatisfiable:
            throw HTTPError(
                .rangeNotSatisfiable, "the body has \(length) bytes",
                headers: [HeaderField("Content-Range", "bytes */\(length)")])
        }
        switch body {
        case .file(let file, _): body = .file(file, range)
        case .ranged(_, let open):
            let size = UInt64(range.count)
            if request?.method == "HEAD" || status == 304 || size == 0 {
                // Nobody reads the body, but its length is told.
                body = .stream(NoBytes(), length: size)
            } else {
                body = .stream(try open(range), length: size)
            }
        default: break
        }
    }
}

private struct NoBytes: ByteStream {
    func next() -> [UInt8]? { nil }
    func close() {}
}
