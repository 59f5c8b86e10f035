package import Metrics

/// Which web pages may read answers (the Fetch standard's CORS protocol). Without one, none may.
package struct CORSPolicy: Sendable {
    /// The origins, such as `https://dashboard.example`; `*` for all.
    package var origins: Set<String>
    /// Request headers that pages may send.
    package var requestHeaders: [String]
    /// Answer headers that pages may read.
    package var exposedHeaders: [String]
    /// How long browsers keep the answer to a preflight, in seconds.
    package var keepSeconds: Int

    /// A policy for these origins.
    package init(
        origins: Set<String>,
        requestHeaders: [String] = [
            "Authorization", "Content-Type", "If-Match", "If-None-Match", "Last-Event-ID", "Range",
            "X-Request-Id", "traceparent",
        ],
        exposedHeaders: [String] = [
            "Accept-Ranges", "Content-Range", "ETag", "Location", "Retry-After", "X-RateLimit-Limit",
            "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-Id",
        ],
        keepSeconds: Int = 600
    ) {
        self.origins = origins
        self.requestHeaders = requestHeaders
        self.exposedHeaders = exposedHeaders
        self.keepSeconds = keepSeconds
    }

    func allows(_ origin: String) -> Bool { origins.contains("*") || origins.contains(origin) }
}

/// What is known of a request when an error is put into words.
package struct ErrorContext: Sendable {
    /// The request's id.
    package let requestID: String
    /// The method as it was sent.
    package let method: String
    /// The route's template; empty when there is none.
    package let template: String
}

/// One request that is over.
package struct ExchangeReport: Sendable {
    /// The request's id.
    package let requestID: String
    /// The method as it was sent.
    package let method: String
    /// The route's template; empty when there is none.
    package let template: String
    /// The status; 0 when the connection broke before there was an answer.
    package let status: Int
    /// From the request's first line to the end of the answer.
    package let nanoseconds: UInt64
    /// Whether the whole answer was taken.
    package let isComplete: Bool
    /// Who sent it.
    package let peer: Peer
}

/// How a server listens, what it bears, and how it speaks.
package struct ServerSettings: Sendable {
    /// The numeric address to listen on; `::` is every address of both kinds.
    package var address = "127.0.0.1"
    /// The port; 0 takes a free one.
    package var port: UInt16 = 0
    /// Threads that read and write sockets.
    package var threads = 2
    /// Threads for handlers that block. Most of the time they wait for a disk to sync what many of them have
    /// written together.
    package var handlerThreads = 32
    /// Threads for uploads and for bodies that are made while they are sent.
    package var transferThreads = 8
    /// Requests that may wait for a thread; beyond that the answer is 503.
    package var queuedRequests = 4096
    /// Open connections; beyond that nothing is accepted.
    package var connections = 12_000
    /// Open connections of one address; 0 for no limit of its own.
    package var connectionsPerAddress = 0
    /// A request's header, its first line included, in bytes (431).
    package var headerBytes = 16 << 10
    /// A request's target, in bytes (414).
    package var targetBytes = 8 << 10
    /// A request's body, where the route has no limit of its own, in bytes (413).
    package var bodyBytes: UInt64 = 1 << 20
    /// Of a body that is refused, so much is read and thrown away so that the client can read the
    /// answer; beyond that the connection is closed. In bytes.
    package var discardBytes: UInt64 = 1 << 20
    /// How long a connection may be open without sending a request; no longer than `quietSeconds`.
    package var idleMilliseconds: Int64 = 60_000
    /// How long a request's header may take.
    package var headerMilliseconds: Int64 = 15_000
    /// How long a body may take, and longer as long as it comes at `bodyBytesPerSecond` on the average.
    package var bodyMilliseconds: Int64 = 30_000
    /// See `bodyMilliseconds`.
    package var bodyBytesPerSecond: UInt64 = 4096
    /// How long a client may take to take anything of an answer, or to send anything of a body. Nothing moves
    /// on an idle connection either: it is closed after so long, too.
    package var quietSeconds = 60
    /// After so long without an event a follower gets a comment.
    package var heartbeatMilliseconds: Int64 = 15_000
    /// How long running requests have to finish when the server stops.
    package var stopMilliseconds: Int64 = 10_000
    /// The smallest body that is compressed, in bytes.
    package var compressFrom = 1024
    /// HTTPS in place of HTTP.
    package var tls: TLSIdentity?
    /// Which web pages may read answers.
    package var cors: CORSPolicy?
    /// Where figures go.
    package var metrics: MetricsRegistry?
    /// Told of every request that is over, on a thread that must not block.
    package var onExchange: (@Sendable (ExchangeReport) -> Void)?
    /// What a handler's error is answered with; by default anything but an `HTTPError` is a 500 that says
    /// nothing of it.
    package var errorFor: @Sendable (any Error, Request) -> HTTPError = { error, _ in
        error as? HTTPError ?? HTTPError(.internalError, "the server failed")
    }
    /// The form of errors.
    package var renderError: @Sendable (HTTPError, ErrorContext) -> (contentType: String, body: [UInt8]) = {
        error, _ in ("text/plain; charset=utf-8", Array("\(error)\n".utf8))
    }

    /// All defaults.
    package init() {}

    /// Memory of one connection: the request's header is in there as it came and as a list, and the answer's.
    /// All of it is cleared for each request, and so stays resident and goes through the cache.
    var connectionBytes: Int { max(headerBytes + 20 << 10, RawLines.leastConnectionBytes) }
}
