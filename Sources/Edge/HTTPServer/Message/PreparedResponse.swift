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
        let outcome = try response.outcome(for: request)
        // With 304 the body stays: libmicrohttpd sends its length alone, which must be that of a 200.
        status = outcome.status
        headers = response.headers
        body = response.body
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
        try apply(outcome)
    }

    private mutating func apply(_ outcome: ResponseOutcome) throws {
        guard let length = outcome.length else { return }
        let range = outcome.range
        headers.append(HeaderField("Accept-Ranges", "bytes"))
        if status == 206 {
            headers.append(
                HeaderField("Content-Range", "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(length)"))
        }
        switch body {
        case .file(let file, _): body = .file(file, range)
        case .ranged(_, let open):
            // Where nobody reads the body, its length is told.
            let stream: any ByteStream = outcome.sendsBody ? try open(range) : NoBytes()
            body = .stream(stream, length: UInt64(range.count))
        default: break
        }
    }
}

private struct NoBytes: ByteStream {
    func next() -> [UInt8]? { nil }
    func close() {}
}
