internal import Base
internal import CMicrohttpd

/// One request and its answer. libmicrohttpd calls on the connection's thread; between the call that
/// suspends the connection and the one that follows its resumption, a thread of a pool is at work, and
/// leaves what it found in `handover`.
final class Exchange: @unchecked Sendable {
    // Sendable because all but `handover` is touched either on the connection's thread while it is
    // awake, or by the one job it sleeps for.
    enum Stage {
        /// The header has not been looked at.
        case fresh
        /// A job decides whether the upload may begin; the body has not been read.
        case opening
        /// The body comes in.
        case reading
        /// A job takes what was buffered of an upload.
        case writing
        /// The rest of the body is thrown away, then this is answered.
        case discarding(HTTPError)
        /// An error was answered in the middle of the body; what still comes is thrown away for a while.
        case lingering(until: Int64)
        /// A job makes the answer.
        case running
        /// The answer was handed over.
        case answered
    }

    enum Handover {
        case nothing
        case proceed
        case refuse(HTTPError)
        /// An error was answered while the connection slept.
        case refused
        case answer(Answer)
    }

    struct Desk {
        var handover = Handover.nothing
        /// The server stopped before the job ended: what the job still holds is the job's to clear up.
        var isReleased = false
    }

    let core: ServerCore
    let record: ConnectionRecord
    let began = monotonicNanoseconds()
    let target: [UInt8]
    let lines: RawLines
    var stage = Stage.fresh
    var request: Request?
    var leaf: Router.Leaf.Entry?
    var method = ""
    var requestID = ""
    var framing = Framing.none
    var mustClose = false
    var body: [UInt8] = []
    var bodyCount: UInt64 = 0
    var sink: (any BodySink)?
    var status = 0
    let handover = Lock(Desk())

    init(core: ServerCore, record: ConnectionRecord, target: [UInt8], lines: RawLines) {
        self.core = core
        self.record = record
        self.target = target
        self.lines = lines
        record.enter(.header)
    }

    /// How a request's body is delimited.
    enum Framing: Equatable {
        case none
        case length(UInt64)
        case chunked
    }

    /// libmicrohttpd's call after the first: with a piece of the body, at its end, or after a sleep. `count`
    /// is what the call leaves over. False closes the connection.
    func proceed(_ connection: OpaquePointer, _ data: UnsafeRawBufferPointer, _ count: inout Int) -> Bool {
        if framing == .chunked, data.isEmpty, reel_http_trailers(connection) > Self.mostTrailers {
            return sendPast(
                HTTPError(.headerTooLarge, "the body has more than \(Self.mostTrailers) trailer fields"))
        }
        switch stage {
        case .fresh: return false
        case .opening: return opened(connection)
        case .reading:
            guard data.isEmpty else {
                count = 0
                return take(data)
            }
            return bodyEnded(connection)
        case .writing: return written(connection, data, &count)
        case .discarding(let error):
            guard data.isEmpty else {
                count = 0
                bodyCount += UInt64(data.count)
                record.count(received: data.count)
                // The limit holds beyond what a route takes: a body that was too large is that much over.
                return bodyCount <= core.settings.discardBytes
                    + (leaf?.route.bodyLimit ?? core.settings.bodyBytes)
            }
            return send(core.answer(.failure(error), for: self), connection)
        case .lingering(let end):
            guard !data.isEmpty, monotonicMilliseconds() < end else { return false }
            count = 0
            record.count(received: data.count)
            return true
        case .running:
            guard case .answer(let answer) = takeHandover() else { return false }
            return send(answer, connection)
        case .answered:
            count = 0
            return true
        }
    }

    /// libmicrohttpd's first call, with the header as it lies in its memory. False closes the connection.
    func begin(
        _ connection: OpaquePointer, _ header: UnsafeBufferPointer<UInt8>, versionOffset: Int
    ) -> Bool {
        record.enter(.handling)
        do throws(HTTPError) {
            try readHeader(connection, header, versionOffset: versionOffset)
            guard hasRoom(for: header.count, connection) else {
                throw HTTPError(
                    .headerTooLarge, "the header has more fields and cookies than there is room for")
            }
            try findRoute()
        } catch {
            guard hasRoom(for: header.count, connection) else { return sendPast(error) }
            return refuse(error, connection)
        }
        if method == "OPTIONS" {
            // What is asked is answered when the body, which has no meaning, has been read.
            stage = .reading
            if framing != .none { record.enter(.body) }
            return true
        }
        guard case .upload(let open) = leaf?.route.handling else {
            startReading()
            return true
        }
        stage = .opening
        return hand(over: core.transfers, connection) { exchange in
            guard let request = exchange.request else {
                return .refuse(HTTPError(.internalError, "no request"))
            }
            do {
                exchange.sink = try open(request)
                return .proceed
            } catch {
                return .refuse(exchange.core.settings.errorFor(error, request))
            }
        }
    }

    private func startReading() {
        stage = .reading
        if framing != .none { record.enter(.body) }
        if let sink, sink.takesParts { record.watch(sink) }
        if case .length(let length) = framing, sink == nil {
            body.reserveCapacity(Int(clamping: min(length, 1 << 20)))
        }
    }

    private func opened(_ connection: OpaquePointer) -> Bool {
        switch takeHandover() {
        case .proceed:
            startReading()
            return true
        case .refuse(let error):
            // Nobody knows how much would have to be read first.
            guard framing == .chunked, !isExpecting, answerEarly(error) else {
                return refuse(error, connection)
            }
            linger()
            return true
        case .answer(let answer):
            mustClose = true
            return send(answer, connection)
        case .nothing, .refused: return false
        }
    }

    private func take(_ data: UnsafeRawBufferPointer) -> Bool {
        bodyCount += UInt64(data.count)
        record.count(received: data.count)
        let limit = leaf?.route.bodyLimit ?? core.settings.bodyBytes
        guard bodyCount <= limit else {
            body = []
            abandonSink()
            stage = .discarding(HTTPError(.tooLarge, "the body is larger than \(limit) bytes"))
            return true
        }
        body.append(contentsOf: data)
        if let sink, sink.takesParts || body.count >= ServerCore.pieceBytes { return writePiece() }
        return true
    }

    private func writePiece() -> Bool {
        stage = .writing
        record.enter(.handling)
        return hand(over: core.transfers, nil) { exchange in
            let handover = exchange.flush()
            // The connection's own thread comes by with the next bytes alone.
            exchange.record.enter(.body)
            return handover
        }
    }

    private func flush() -> Handover {
        do {
            try body.withUnsafeBytes { if !$0.isEmpty { try sink?.write($0) } }
            body.removeAll(keepingCapacity: true)
            return .proceed
        } catch {
            guard let request else { return .refuse(HTTPError(.internalError, "no request")) }
            let shown = core.settings.errorFor(error, request)
            guard let sink, sink.takesParts, answerEarly(shown) else { return .refuse(shown) }
            self.sink = nil
            record.forgetSink()
            sink.abandon()
            return .refused
        }
    }

    private func written(
        _ connection: OpaquePointer, _ data: UnsafeRawBufferPointer, _ count: inout Int
    ) -> Bool {
        // Several chunks came in one packet, and libmicrohttpd goes through them although the connection
        // sleeps already: it keeps what isn't taken. Until the connection is awake nothing is, even where the
        // job has handed over by now: a connection that is put to sleep twice hangs the server.
        guard !record.isSleeping else { return true }
        switch takeHandover() {
        case .nothing: return true
        case .proceed:
            stage = .reading
            resumeBody()
        case .refuse(let error):
            body = []
            abandonSink()
            stage = .discarding(error)
            resumeBody()
        case .refused:
            body = []
            linger()
        case .answer: return false
        }
        return proceed(connection, data, &count)
    }

    private func resumeBody() { record.enter(.body) }

    private func bodyEnded(_ connection: OpaquePointer) -> Bool {
        record.enter(.handling)
        if method == "OPTIONS" { return send(core.answer(.success(options()), for: self), connection) }
        guard let leaf, var request else { return false }
        if case .length(let length) = framing, length != bodyCount { return false }
        stage = .running
        switch leaf.route.handling {
        case .quick(let handler):
            request.body = body
            self.request = request
            let finished = request
            return send(core.answer(Result { try handler(finished) }, for: self), connection)
        case .attempt(let handler):
            request.body = body
            self.request = request
            return attempt(handler, request, connection)
        case .blocking(let handler):
            request.body = body
            self.request = request
            let finished = request
            return hand(over: core.handlers, connection) { exchange in
                .answer(exchange.core.answer(Result { try handler(finished) }, for: exchange))
            }
        case .upload:
            return hand(over: core.transfers, connection) { exchange in
                .answer(exchange.core.answer(Result { try exchange.finishUpload() }, for: exchange))
            }
        }
    }

    private func attempt(
        _ handler: @Sendable (Request) throws -> Attempt, _ request: Request, _ connection: OpaquePointer
    ) -> Bool {
        let rest: @Sendable () throws -> Response
        do {
            switch try handler(request) {
            case .answered(let response):
                return send(core.answer(.success(response), for: self), connection)
            case .blocking(let job): rest = job
            }
        } catch {
            return send(core.answer(.failure(error), for: self), connection)
        }
        return hand(over: core.handlers, connection) { exchange in
            .answer(exchange.core.answer(Result { try rest() }, for: exchange))
        }
    }

    private func finishUpload() throws -> Response {
        guard let sink else { throw HTTPError(.internalError, "no upload") }
        do {
            try body.withUnsafeBytes { if !$0.isEmpty { try sink.write($0) } }
        } catch {
            self.sink = nil
            sink.abandon()
            throw error
        }
        self.sink = nil
        return try sink.finish(byteCount: bodyCount)
    }

    /// Sleeps until `job` has run on `pool`. Where that is impossible, 503 is answered; without a
    /// connection (in the middle of a body) at the body's end.
    private func hand(
        over pool: WorkPool, _ connection: OpaquePointer?,
        _ job: @escaping @Sendable (Exchange) -> Handover
    ) -> Bool {
        let isSleeping = record.suspend(for: self)
        let isUnderWay = connection == nil
        if isSleeping, pool.submit(always: isUnderWay, { [self] in leave(job(self)) }) { return true }
        let error = HTTPError(
            .overloaded, isSleeping ? "too many requests are waiting" : "the server is stopping",
            headers: [HeaderField("Retry-After", "1")])
        if isSleeping {
            // The connection goes on by itself, and finds this.
            leave(stage.isRunning ? .answer(core.answer(.failure(error), for: self)) : .refuse(error))
            return true
        }
        guard let connection else {
            abandonSink()
            stage = .discarding(error)
            return true
        }
        return refuse(error, connection)
    }

    private func leave(_ result: Handover) {
        let isReleased = handover.withLock { desk in
            if !desk.isReleased { desk.handover = result }
            return desk.isReleased
        }
        guard !isReleased else {
            sink?.abandon()
            return
        }
        record.resume()
    }

    private func takeHandover() -> Handover {
        handover.withLock { desk in
            defer { desk.handover = .nothing }
            return desk.handover
        }
    }

    /// Answers an error. A client that has still to send its body can't read before it has done so,
    /// unless it waits for `100 Continue`: what is small is read first. Without a body the answer waits
    /// for libmicrohttpd's next call, because it closes connections that are answered in the first one.
    private func refuse(_ error: HTTPError, _ connection: OpaquePointer) -> Bool {
        switch framing {
        case .length(let length):
            mustClose = mustClose || isExpecting || length > core.settings.discardBytes
        case .chunked: mustClose = mustClose || isExpecting
        case .none: break
        }
        guard !mustClose else { return send(core.answer(.failure(error), for: self), connection) }
        stage = .discarding(error)
        record.enter(.body)
        return true
    }

    /// Whether the client waits for `100 Continue` before it sends its body.
    private var isExpecting: Bool { request?.headers.contains(.expect) ?? false }

    private func send(_ answer: Answer, _ connection: OpaquePointer) -> Bool {
        stage = .answered
        status = answer.status
        record.enter(.answer)
        record.endWatch()
        return answer.queue(on: connection, closing: mustClose || endsConnection || core.isStopping)
    }

    /// Answers past libmicrohttpd, which needs memory for an answer's header that it does not have, and would
    /// close the connection without a word. Always false: the connection is closed.
    private func sendPast(_ error: HTTPError) -> Bool {
        stage = .answered
        status = error.status
        abandonSink()
        record.sendPast(core.lastAnswer(error, for: self))
        return false
    }

    private func abandonSink() {
        guard let sink else { return }
        record.forgetSink()
        self.sink = nil
        if !core.transfers.submit(always: true, { sink.abandon() }) { sink.abandon() }
    }

    /// The request is over, answered or not.
    /// - Parameter gaveUp: whether libmicrohttpd refused the header itself, without memory for an answer.
    func completed(isComplete: Bool, gaveUp: Bool) {
        if gaveUp, case .fresh = stage {
            requestID = core.newID()
            _ = sendPast(HTTPError(.headerTooLarge, "the header has more cookies than there is room for"))
        }
        if !handover.withLock({ $0.isReleased }) { abandonSink() }
        record.forgetSink()
        record.enter(.waiting)
        core.report(self, isComplete: isComplete)
    }
}

extension Exchange.Stage {
    fileprivate var isRunning: Bool {
        if case .running = self { return true }
        return false
    }
}

extension Exchange: Suspendable {
    /// Time is up: the job's result will not be used.
    func release() {
        let error = HTTPError(
            .overloaded, "the server is stopping", headers: [HeaderField("Retry-After", "1")])
        let answer = core.answer(.failure(error), for: self)
        handover.withLock { desk in
            guard case .nothing = desk.handover else { return }
            desk.handover = .answer(answer)
            desk.isReleased = true
        }
        record.resume()
    }
}
