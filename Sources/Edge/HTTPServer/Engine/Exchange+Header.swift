internal import CMicrohttpd

/// What is looked at before a body is read.
extension Exchange {
    /// Reads the header and refuses what could mean different things to different readers of it: that is
    /// how requests are smuggled past whoever stands in front of a server (RFC 9112 part 11.2).
    func readHeader(
        _ connection: OpaquePointer, _ header: UnsafeBufferPointer<UInt8>, versionOffset: Int
    ) throws(HTTPError) {
        mustClose = true
        defer { if request != nil { mustClose = false } }
        requestID = core.newID()
        guard target.count <= core.settings.targetBytes else {
            throw HTTPError(.targetTooLong, "the target is longer than \(core.settings.targetBytes) bytes")
        }
        guard header.count <= core.settings.headerBytes else {
            throw HTTPError(.headerTooLarge, "the header is larger than \(core.settings.headerBytes) bytes")
        }
        let end = header.baseAddress.map { UInt(bitPattern: $0 + header.count) }
        guard lines == .unseen || end.map({ lines == .whole(end: $0) }) ?? false else {
            throw HTTPError(.malformed, "a header line ends with a bare line feed")
        }
        let block = try HeaderBlock(header, targetCount: target.count, versionOffset: versionOffset)
        method = block.method
        let fields = block.fields
        requestID = RequestID.given(by: fields) ?? requestID
        try fields.requireSingle()
        let host = try Authority.host(in: fields, isOptional: block.isVersion10)
        try readFraming(fields, isVersion10: block.isVersion10)
        if let expectation = fields.first(.expect) {
            // Without a body libmicrohttpd takes what comes behind for one.
            guard expectation.isASCIIWord("100-continue"), framing != .none else {
                throw HTTPError(.expectationFailed, "only 100-continue can be expected, before a body")
            }
        }
        let place = try RequestTarget(target, host: host)
        guard !place.isAsterisk || method == "OPTIONS" else {
            throw HTTPError(.malformed, "* is no path")
        }
        let trace =
            fields.only(.traceparent).flatMap { TraceContext(parsing: String(decoding: $0, as: UTF8.self)) }
        request = Request(
            method: method, place: place, headers: fields, peer: peer(connection), id: requestID,
            trace: trace ?? core.newTrace())
    }

    private func readFraming(_ fields: HeaderFields, isVersion10: Bool) throws(HTTPError) {
        let length = fields.first(.contentLength)
        if let coding = fields.first(.transferEncoding) {
            guard length == nil else {
                throw HTTPError(.malformed, "Content-Length and Transfer-Encoding contradict each other")
            }
            guard !fields.isRepeated(.transferEncoding), coding.isASCIIWord("chunked") else {
                throw HTTPError(.notImplemented, "no other transfer coding than chunked is known")
            }
            guard !isVersion10 else {
                throw HTTPError(.malformed, "HTTP/1.0 has no transfer codings")
            }
            framing = .chunked
        } else if let length {
            // libmicrohttpd has refused what isn't a number by now.
            guard length.allSatisfy({ (48...57).contains($0) }),
                let count = UInt64(String(decoding: length, as: UTF8.self))
            else {
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
            if case .upload = route.handling, !request.headers.contains(.contentLength) {
                throw HTTPError(.lengthRequired, "a body is wanted, with its length or chunked")
            }
            return
        }
        let limit = route.bodyLimit ?? core.settings.bodyBytes
        if case .length(let length) = framing, length > limit {
            throw HTTPError(.tooLarge, "the body is larger than \(limit) bytes")
        }
        guard request.headers.all("Content-Encoding").allSatisfy({ $0.utf8.isASCIIWord("identity") }) else {
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

    /// Whether nothing that comes behind this request is read: what some reader in front of us may have taken
    /// for its body, or for requests of their own, would else be answered.
    ///
    /// - A header that came in pieces, or is larger than 4 KiB, may have ended too early (`RawLines`).
    /// - libmicrohttpd takes bare line feeds and any bytes behind a `;` for lawful between chunks.
    /// - A body of a request that has none is nobody's business but a proxy's.
    var endsConnection: Bool {
        if lines == .unseen { return true }
        switch framing {
        case .none: return false
        case .chunked: return true
        case .length:
            if let leaf, !leaf.route.accepts.isEmpty { return false }
            return !["POST", "PUT", "PATCH"].contains(method)
        }
    }

    /// Whether libmicrohttpd has memory for an answer's header beside all that it keeps of the request: the
    /// header's bytes and those read behind it, a record of each field and cookie, and a copy of the cookies.
    func hasRoom(for headerCount: Int, _ connection: OpaquePointer) -> Bool {
        let kept = Int(reel_http_kept_fields(connection))
        let cookies = request.map { $0.headers.first(.cookie)?.count ?? 0 } ?? headerCount
        let memory = core.settings.connectionBytes
        // It reads into a half, and takes more of the rest in eighths.
        let readBehind = max(memory / 2 - headerCount, memory / 16)
        return headerCount + readBehind + 64 * kept + cookies + 16 + Self.answerHeaderBytes <= memory
    }

    /// Room for an answer's header.
    private static let answerHeaderBytes = 2 << 10
    /// Fields behind a chunked body, which nobody reads.
    static let mostTrailers: Int32 = 32

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
