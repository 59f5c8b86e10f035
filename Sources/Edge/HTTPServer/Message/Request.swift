/// The methods that routes can have.
package enum HTTPMethod: String, Sendable, Hashable, CaseIterable {
    /// Reads.
    case get = "GET"
    /// Creates, or does.
    case post = "POST"
    /// Replaces.
    case put = "PUT"
    /// Changes in part.
    case patch = "PATCH"
    /// Removes.
    case delete = "DELETE"
}

/// Where a request comes from.
package struct Peer: Sendable, Hashable {
    /// The address as text, without port; an IPv4 address in IPv6 form is shown as IPv4.
    package let address: String
    /// The port.
    package let port: UInt16
    /// The version of TLS, such as `TLS 1.3`; nil without TLS.
    package let tlsVersion: String?

    /// Takes all parts as they are.
    package init(address: String, port: UInt16, tlsVersion: String? = nil) {
        self.address = address
        self.port = port
        self.tlsVersion = tlsVersion
    }
}

/// One request, its body (if the route takes one as a whole) included.
package struct Request: Sendable {
    /// The method as it was sent; `HEAD` for a GET whose body nobody wants.
    package let method: String
    /// The path's segments, decoded.
    package let segments: [String]
    /// The query, decoded.
    package let query: Query
    /// The header fields.
    package let headers: HeaderFields
    /// Who sent it.
    package let peer: Peer
    /// The client's id of the request when it was a good one, else one of ours; every answer has it as
    /// `X-Request-Id`.
    package let id: String
    /// The client's trace, or a new one.
    package let trace: TraceContext
    /// The route's template, such as `/api/v1/sessions/{id}`.
    package internal(set) var template: String
    /// The body; empty without one, and for streamed uploads.
    package internal(set) var body: [UInt8]
    var parameters: [(name: String, value: String)]

    /// Takes all parts as they are; for tests of handlers.
    package init(
        method: String, segments: [String], query: Query = Query(), headers: HeaderFields = HeaderFields([]),
        peer: Peer = Peer(address: "127.0.0.1", port: 0), id: String = "test", trace: TraceContext? = nil,
        template: String = "", parameters: [(name: String, value: String)] = [], body: [UInt8] = []
    ) {
        var ids = IDSource()
        self.method = method
        self.segments = segments
        self.query = query
        self.headers = headers
        self.peer = peer
        self.id = id
        self.trace = trace ?? TraceContext(from: &ids)
        self.template = template
        self.parameters = parameters
        self.body = body
    }

    /// What stands in the path at `{name}` of the template; never empty. A name that the template
    /// doesn't have is a mistake in the program.
    package func parameter(_ name: String) -> String {
        guard let parameter = parameters.first(where: { $0.name == name }) else {
            preconditionFailure("\(template) has no {\(name)}")
        }
        return parameter.value
    }

    /// The body's length as announced; nil when it is chunked or there is none.
    package var contentLength: UInt64? { headers["Content-Length"].flatMap { UInt64($0) } }

    /// The token of `Authorization: Bearer …`; nil without one.
    package var bearerToken: String? {
        // Two are a contradiction, and somebody in front of us may have looked at the other one.
        guard let value = headers.only(.authorization) else { return nil }
        // By bytes: going through a token's characters takes longer than all the rest of a request.
        let scheme = value.drop { $0 == 0x20 }.prefix { $0 != 0x20 }
        guard scheme.lazy.map(smallASCII).elementsEqual("bearer".utf8) else { return nil }
        let token = value[scheme.endIndex...].drop { $0 == 0x20 }.prefix { $0 != 0x20 }
        guard !token.isEmpty, value[token.endIndex...].allSatisfy({ $0 == 0x20 }) else { return nil }
        return String(decoding: token, as: UTF8.self)
    }

    /// Refuses with 412 unless `If-Match` is absent, `*`, or names `etag` (nil: nothing is there yet).
    package func requireMatch(_ etag: EntityTag?) throws(HTTPError) {
        guard let list = headers.list("If-Match") else { return }
        guard let etag, EntityTag.list(list).matches(etag, weakly: false) else {
            throw HTTPError(.preconditionFailed, "If-Match names another version than the present one")
        }
    }
}
