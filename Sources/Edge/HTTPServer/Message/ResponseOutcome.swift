/// What a request gets of a response: decided from the request alone, before anything is opened or sent.
package struct ResponseOutcome: Sendable, Hashable {
    /// The status that is answered: the handler's, or 304 or 206 where the request asks for that.
    package let status: Int
    /// Bytes of the whole, where it is a file or ranged; nil for other bodies.
    package let length: UInt64?
    /// The bytes that are sent of such a body; all of them, unless the status is 206.
    package let range: Range<UInt64>
    /// Whether any byte of such a body is sent: not for HEAD, not with 304.
    package let sendsBody: Bool
}

extension Response {
    /// What a request gets of this: `If-None-Match`, `Range` and `If-Range` applied. Ranges are for GET and
    /// HEAD of files and ranged streams.
    /// - Parameter request: nil where none could be read.
    /// - Throws: 416 where the range lies outside of the body.
    package func outcome(for request: Request?) throws(HTTPError) -> ResponseOutcome {
        let isRead = request?.method == "GET" || request?.method == "HEAD"
        let length: UInt64? =
            switch body {
            case .file(let file, _): file.byteCount
            case .ranged(let count, _): count
            default: nil
            }
        let whole = 0..<(length ?? 0)
        let isSent = request?.method != "HEAD" && !whole.isEmpty
        guard isRead, status == 200, let request else {
            return ResponseOutcome(status: status, length: length, range: whole, sendsBody: isSent)
        }
        if let etag, let list = request.headers.list("If-None-Match"),
            EntityTag.list(list).matches(etag, weakly: true)
        {
            return ResponseOutcome(status: 304, length: length, range: whole, sendsBody: false)
        }
        guard let length else {
            return ResponseOutcome(status: status, length: nil, range: whole, sendsBody: false)
        }
        switch wantedRange(request, length) {
        case .all: return ResponseOutcome(status: status, length: length, range: whole, sendsBody: isSent)
        case .part(let part):
            return ResponseOutcome(status: 206, length: length, range: part, sendsBody: isSent)
        case .unsatisfiable:
            throw HTTPError(
                .rangeNotSatisfiable, "the body has \(length) bytes",
                headers: [HeaderField("Content-Range", "bytes */\(length)")])
        }
    }

    private func wantedRange(_ request: Request, _ length: UInt64) -> WantedRange {
        if let condition = request.headers["If-Range"] {
            let tags = EntityTag.list(condition)
            guard let etag, tags != .any, tags.matches(etag, weakly: false) else { return .all }
        }
        return WantedRange(request.headers["Range"], length: length)
    }
}
