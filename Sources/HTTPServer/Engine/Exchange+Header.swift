internal import CMicrohttpd

/// What is looked at before a body is read.
extension Exchange {
    /// Reads the header and refuses what could mean different things to different readers of it: that is
    /// how requests are smuggled past whoever stands in front of a server (RFC 9112 part 11.2).
    func readHeader(_ connection: OpaquePointer) throws(HTTPError) {
        mustClose = true
        defer { if request != nil { mustClose = false } }
        let scan = HeaderScan()
        MHD_get_connection_values_n(
            connection, .HEADER_KIND,
            { context, _, name, nameCount, value, valueCount in
                guard let context, let name else { return .NO }
                Unmanaged<HeaderScan>.fromOpaque(context).takeUnretainedValue()
                    .add(name, nameCount, value, valueCount)
                return .YES
            }, Unmanaged.passUnretained(scan).toOpaque())
        let fields = scan.fields
        requestID = fields["X-Request-Id"].flatMap { isRequestID($0) ? $0 : nil } ?? core.newID()
        guard fields.byteCount + target.count <= core.settings.headerBytes else {
            throw HTTPError(.headerTooLarge, "the header is larger than \(core.settings.headerBytes) bytes")
        }
        guard target.count <= core.settings.targetBytes else {
            throw HTTPError(.targetTooLong, "the target is longer than \(core.settings.targetBytes) bytes")
        }
        guard isKnownVersion else { throw HTTPError(.version, "only HTTP/1.0 and HTTP/1.1 are spoken") }
        guard method.utf8.allSatisfy(isTokenByte), !method.isEmpty else {
            throw HTTPError(.malformed, "the method is no token")
        }
        guard scan.isPlain, fields.areWellFormed else {
            throw HTTPError(.malformed, "a header line is folded, has a bare line feed or a bad character")
        }
        let hosts = fields.count(of: "Host")
        guard hosts == 1 || hosts == 0 && isVersion10 else {
            throw HTTPError(.malformed, "Host must be there, once")
        }
        try readFraming(fields)
        if let expectation = fields["Expect"], expectation.lowercased() != "100-continue" {
            throw HTTPError(.expectationFailed, "only 100-continue can be expected")
        }
        let place = try RequestTarget(target)
        let trace =
            fields.count(of: "traceparent") == 1
            ? fields["traceparent"].flatMap(TraceContext.init(parsing:)) : nil
        request = Request(
            method: method, place: place, headers: fields, peer: peer(connection), id: requestID,
            trace: trace ?? core.newTrace())
        guard !place.isAsterisk || method == "OPTIONS" else {
            throw HTTPError(.malformed, "* is no path")
        }
    }

    private func readFraming(_ fields: HeaderFields) throws(HTTPError) {
        let lengths = fields.all("Content-Length")
        let codings = fields.all("Transfer-Encoding")
        guard lengths.count <= 1 else { throw HTTPError(.malformed, "Content-Length stands twice") }
        if let coding = codings.first {
            guard lengths.isEmpty else {
                throw HTTPError(.malformed, "Content-Length and Transfer-Encoding contradict each other")
            }
            guard codings.count == 1, coding.lowercased() == "chunked" else {
                throw HTTPError(.notImplemented, "no other transfer coding than chunked is known")
            }
            guard !isVersion10 else {
                throw HTTPError(.malformed, "HTTP/1.0 has no transfer codings")
            }
            framing = .chunked
        } else if let length = lengths.first {
            // libmicrohttpd has refused what isn't a number by now.
            guard length.utf8.allSatisfy({ (48...57).contains($0) }), let count = UInt64(length) else {
                throw HTTPError(.malformed, "Content-Length is no number")
            }
            framing = count == 0 ? .none : .length(count)
        }
    }

    private func peer(_ connection: OpaquePointer) -> Peer {
        guard core.settings.tls != nil else { return record.peer }
        let version: String? =
            switch reel_http_tls_version(connection) {
            case 4: "TLS 1.2"
            case 5: "TLS 1.3"
            default: nil
            }
        return Peer(address: record.peer.address, port: record.peer.port, tlsVersion: version)
    }

    /// Finds the route and refuses what it doesn't take.
    func findRoute() throws(HTTPError) {
        guard var request, method != "OPTIONS" || core.router.find(request.segments) == nil else { return }
        guard let leaf = core.router.find(request.segments) else {
            if method == "OPTIONS", request.segments.isEmpty { return }
            throw HTTPError(.notFound, "there is nothing at this path")
        }
        let wanted = method == "HEAD" ? "GET" : method
        guard let entry = leaf.entries.first(where: { $0.route.method.rawValue == wanted }) else {
            throw HTTPError(
                .methodNotAllowed, "this path has no such method",
                headers: [HeaderField("Allow", leaf.allow)])
        }
        self.leaf = entry
        request.template = entry.route.template
        request.parameters = entry.parameters.map { ($0.name, request.segments[$0.position]) }
        self.request = request
        try checkBody(entry.route, request)
        guard Negotiation.accepts(request.headers.list("Accept"), oneOf: entry.route.produces) else {
            throw HTTPError(
                .notAcceptable, "this path answers \(entry.route.produces.joined(separator: ", "))")
        }
    }

    private func checkBody(_ route: Route, _ request: Request) throws(HTTPError) {
        guard framing != .none else {
            if case .upload = route.handling, !request.headers.contains("Content-Length") {
                throw HTTPError(.lengthRequired, "a body is wanted, with its length or chunked")
            }
            return
        }
        let limit = route.bodyLimit ?? core.settings.bodyBytes
        if case .length(let length) = framing, length > limit {
            throw HTTPError(.tooLarge, "the body is larger than \(limit) bytes")
        }
        guard request.headers["Content-Encoding"].map({ $0.lowercased() == "identity" }) ?? true else {
            throw HTTPError(
                .unsupportedType, "encoded bodies are not taken",
                headers: [HeaderField("Accept-Encoding", "identity")])
        }
        guard !route.accepts.isEmpty else { return }
        let types = request.headers.all("Content-Type")
        guard types.count == 1, route.accepts.contains(Negotiation.essence(types[0])) else {
            throw HTTPError(.unsupportedType, "the body must be \(route.accepts.joined(separator: " or "))")
        }
    }

    /// The answer to `OPTIONS`: which methods there are, and to a browser's preflight what it may send.
    func options() -> Response {
        let all = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
        let allow = request.flatMap { core.router.find($0.segments)?.allow } ?? all
        var headers = [HeaderField("Allow", allow)]
        if let policy = core.settings.cors, let request, let origin = request.headers["Origin"],
            policy.allows(origin),
            request.headers.contains("Access-Control-Request-Method")
        {
            headers.append(HeaderField("Access-Control-Allow-Methods", allow))
            headers.append(
                HeaderField("Access-Control-Allow-Headers", policy.requestHeaders.joined(separator: ", ")))
            headers.append(HeaderField("Access-Control-Max-Age", String(policy.keepSeconds)))
        }
        return .empty(204, headers: headers)
    }
}

extension Request {
    fileprivate init(
        method: String, place: RequestTarget, headers: HeaderFields, peer: Peer, id: String,
        trace: TraceContext
    ) {
        self.method = method
        segments = place.segments
        query = place.query
        self.headers = headers
        self.peer = peer
        self.id = id
        self.trace = trace
        template = ""
        parameters = []
        body = []
    }
}

/// Takes header fields over from libmicrohttpd, and notices lines that were not what they look like.
///
/// 0.9.75 takes a bare line feed for a line's end, and puts folded lines together wrongly (the
/// continuation becomes part of the name). It parses in place and leaves one NUL for each byte of a
/// line's end: so each name must begin exactly two bytes behind the value before it.
private final class HeaderScan {
    var fields = HeaderFields()
    var isPlain = true
    private var expected: UInt?

    func add(
        _ name: UnsafePointer<CChar>, _ nameCount: Int, _ value: UnsafePointer<CChar>?, _ valueCount: Int
    ) {
        let start = UInt(bitPattern: name)
        if let expected, expected != start { isPlain = false }
        guard let value else {
            isPlain = false
            return
        }
        let valueStart = UInt(bitPattern: value)
        if valueStart < start + UInt(nameCount) + 1 { isPlain = false }
        expected = valueStart + UInt(valueCount) + 2
        name.withMemoryRebound(to: UInt8.self, capacity: nameCount) { name in
            value.withMemoryRebound(to: UInt8.self, capacity: valueCount) { value in
                fields.append(
                    name: UnsafeBufferPointer(start: name, count: nameCount),
                    value: UnsafeBufferPointer(start: value, count: valueCount))
            }
        }
    }
}
