/// Takes a body as it comes in, in constant memory. Calls come one after the other, on threads of the
/// transfer pool; exactly one of `finish` and `abandon` ends it.
package protocol BodySink: Sendable {
    /// The next bytes; the client is not read further until this returns. An error ends the upload: the
    /// rest is read and thrown away, and the error answered.
    func write(_ bytes: UnsafeRawBufferPointer) throws

    /// Everything has arrived, `byteCount` bytes.
    func finish(byteCount: UInt64) throws -> Response

    /// The connection broke, the body was too large or too slow, or `write` has thrown.
    func abandon()

    /// Whether each part counts although the rest may never come: then bytes are handed over as they come,
    /// not gathered to pieces of some size.
    var takesParts: Bool { get }

    /// Whether the client may send nothing for as long as it likes now. Asked of bodies that come in parts,
    /// by a thread that must not block.
    var mayRest: Bool { get }
}

extension BodySink {
    /// A body counts as a whole.
    package var takesParts: Bool { false }

    /// Whoever sends nothing is taken for gone.
    package var mayRest: Bool { false }
}

/// What a handler makes of a request where it was read.
package enum Attempt: Sendable {
    /// The answer.
    case answered(Response)
    /// The rest of the work, which may block: it runs on a thread of the request pool.
    case blocking(@Sendable () throws -> Response)
}

/// One method of one path, and what answers it.
package struct Route: Sendable {
    enum Handling: Sendable {
        case quick(@Sendable (Request) throws -> Response)
        case blocking(@Sendable (Request) throws -> Response)
        case attempt(@Sendable (Request) throws -> Attempt)
        case upload(@Sendable (Request) throws -> any BodySink)
    }

    /// The method. GET answers HEAD too.
    package let method: HTTPMethod
    /// The path's template, such as `/api/v1/sessions/{id}`.
    package let template: String
    /// The media types that a body may have, without parameters; empty when none is looked at.
    package let accepts: [String]
    /// The media types that answers may have; empty when `Accept` isn't looked at.
    package let produces: [String]
    /// The largest body, in bytes; nil for the server's own limit.
    package let bodyLimit: UInt64?
    let handling: Handling

    /// A handler that may block: it runs on a thread of the request pool.
    package init(
        _ method: HTTPMethod, _ template: String, accepts: [String] = [], produces: [String] = [],
        bodyLimit: UInt64? = nil, handler: @escaping @Sendable (Request) throws -> Response
    ) {
        self.init(method, template, accepts, produces, bodyLimit, .blocking(handler))
    }

    /// A handler that never blocks and takes microseconds: it runs where the request was read.
    package static func quick(
        _ method: HTTPMethod, _ template: String, accepts: [String] = [], produces: [String] = [],
        bodyLimit: UInt64? = nil, handler: @escaping @Sendable (Request) throws -> Response
    ) -> Route {
        Route(method, template, accepts, produces, bodyLimit, .quick(handler))
    }

    /// A handler that mostly never blocks and takes microseconds: it runs where the request was read, and
    /// says what is left to do where it can't answer at once.
    package static func attempt(
        _ method: HTTPMethod, _ template: String, accepts: [String] = [], produces: [String] = [],
        bodyLimit: UInt64? = nil, handler: @escaping @Sendable (Request) throws -> Attempt
    ) -> Route {
        Route(method, template, accepts, produces, bodyLimit, .attempt(handler))
    }

    /// A body that is streamed. `open` runs on the transfer pool before any of the body is read: what
    /// it throws is answered without the client having to send the body.
    package static func upload(
        _ method: HTTPMethod, _ template: String, accepts: [String] = [], produces: [String] = [],
        bodyLimit: UInt64, open: @escaping @Sendable (Request) throws -> any BodySink
    ) -> Route {
        Route(method, template, accepts, produces, bodyLimit, .upload(open))
    }

    private init(
        _ method: HTTPMethod, _ template: String, _ accepts: [String], _ produces: [String],
        _ bodyLimit: UInt64?, _ handling: Handling
    ) {
        self.method = method
        self.template = template
        self.accepts = accepts.map { $0.lowercased() }
        self.produces = produces.map { $0.lowercased() }
        self.bodyLimit = bodyLimit
        self.handling = handling
    }
}
