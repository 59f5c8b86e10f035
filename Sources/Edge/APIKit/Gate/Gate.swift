internal import Access
package import Base
package import EventSourcing
internal import HTTPServer

/// What gates are made of. One for each process.
package struct GateParts: Sendable {
    /// Who is who.
    package var authenticator: any Authenticator
    /// What errors become.
    package var errors: ErrorAnswers
    /// The time.
    package var clock: any WallClock
    /// Counts requests; nil: nobody does.
    package var limiter: (any RateLimiter)?
    /// How many requests of each kind a subject has in a minute.
    package var rates = RateLimits()
    /// Where records of who did what go; nil: nowhere.
    package var trail: (any RequestTrail)?
    let viewings = Viewings()

    /// Parts without those that may be absent.
    package init(authenticator: any Authenticator, errors: ErrorAnswers, clock: any WallClock) {
        self.authenticator = authenticator
        self.errors = errors
        self.clock = clock
    }
}

/// What stands around every endpoint: who asks, whether that is too often, whether the role allows anything
/// of the kind, and the records of it.
struct Gate: Sendable {
    let parts: GateParts
    let endpoint: Endpoint
    let mount: Mount

    /// Answers a request.
    func answer(_ request: Request, _ handle: (Call) throws -> Response) throws -> Response {
        let (call, headers) = try admit(request)
        return try answer(call, headers, handle)
    }

    /// Answers a request by `first`, which never blocks, where who asks and how often is known; where it is
    /// not, or `first` has no answer, what is left to do.
    func attempt(
        _ request: Request, _ first: (Call) throws -> Response?,
        else handle: @escaping @Sendable (Call) throws -> Response
    ) throws -> Attempt {
        guard let token = request.bearerToken,
            let admission = parts.authenticator.knownAdmission(ofToken: token),
            let decision = countAtOnce(admission.subject)
        else { return .blocking { try answer(request, handle) } }
        let call = call(request, admission)
        let headers = try headers(of: decision, endpoint.limit, request, admission.subject)
        try requireReach(call, headers)
        do {
            guard var response = try first(call) else {
                return .blocking { try answer(call, headers, handle) }
            }
            response.headers += headers
            return .answered(response)
        } catch {
            throw refusal(error, call, headers)
        }
    }

    private func answer(
        _ call: Call, _ headers: [HeaderField], _ handle: (Call) throws -> Response
    ) throws -> Response {
        do {
            var response = try handle(call)
            try record(call, .allowed, response.status, of: response)
            response.headers += headers
            return response
        } catch {
            throw refusal(error, call, headers)
        }
    }

    /// Opens an upload.
    func open(_ request: Request, _ open: (Call) throws -> any BodySink) throws -> any BodySink {
        let (call, headers) = try admit(request)
        do {
            return GuardedSink(sink: try open(call), gate: self, call: call, headers: headers)
        } catch {
            throw refusal(error, call, headers)
        }
    }

    private func admit(_ request: Request) throws -> (Call, [HeaderField]) {
        let admission: Admission
        do { admission = try parts.authenticator.admission(of: request) } catch {
            try countStranger(request)
            note(request, nil, nil, .denied, parts.errors.answer(error))
            throw error
        }
        let call = call(request, admission)
        let headers = try count(
            endpoint.limit, Self.limited(admission.subject), request, admission.subject)
        try requireReach(call, headers)
        return (call, headers)
    }

    private func call(_ request: Request, _ admission: Admission) -> Call {
        Call(
            mount: mount, request: request, subject: admission.subject, expires: admission.expires,
            permission: endpoint.permission, notes: endpoint.trace == .denials ? nil : RequestNotes())
    }

    private func requireReach(_ call: Call, _ headers: [HeaderField]) throws {
        guard call.subject.reach(endpoint.permission) > .none else {
            let error = ErrorInfo(.notAllowed, "your role does not allow \(endpoint.permission)")
            throw refusal(error, call, headers)
        }
    }

    /// Whom a request of this subject is counted to.
    private static func limited(_ subject: Subject) -> String { "user:\(subject.id)" }

    /// Guessing tokens is limited by address.
    private func countStranger(_ request: Request) throws {
        _ = try count(.unauthenticated, "address:\(request.peer.address)", request, nil)
    }

    private func count(
        _ kind: RateClass, _ name: String, _ request: Request, _ subject: Subject?
    ) throws -> [HeaderField] {
        guard let limiter = parts.limiter else { return [] }
        let decision = limiter.take(parts.rates.rule(kind), by: name)
        return try headers(of: decision, kind, request, subject)
    }

    /// The decision about a request where it takes no question to anybody; `.some(nil)` where nobody counts.
    private func countAtOnce(_ subject: Subject) -> RateDecision?? {
        guard let limiter = parts.limiter else { return .some(nil) }
        let rule = parts.rates.rule(endpoint.limit)
        return limiter.takeAtOnce(rule, by: Self.limited(subject)).map { .some($0) }
    }

    private func headers(
        of decision: RateDecision?, _ kind: RateClass, _ request: Request, _ subject: Subject?
    ) throws -> [HeaderField] {
        guard let decision else { return [] }
        let headers = [
            HeaderField("X-RateLimit-Limit", "\(decision.limit)"),
            HeaderField("X-RateLimit-Remaining", "\(decision.remaining)"),
            HeaderField("X-RateLimit-Reset", "\(decision.resetSeconds)"),
        ]
        if decision.isAllowed { return headers }
        let error = HTTPError(
            ErrorInfo(
                .rateLimit, "more than \(decision.limit) requests of the kind \(kind.rawValue) in a minute",
                retryAfter: max(1, decision.resetSeconds)), headers: headers)
        note(request, subject, nil, .denied, error)
        throw error
    }

    /// The error as it is answered, once there is a record of it where there has to be one.
    fileprivate func refusal(_ error: any Error, _ call: Call, _ headers: [HeaderField]) -> any Error {
        var answer = parts.errors.answer(error)
        answer.headers += headers
        let isDenied = answer.status == 401 || answer.status == 403 || answer.status == 429
        if isDenied || endpoint.trace != .denials {
            note(
                call.request, call.subject, call.notes,
                isDenied || answer.status < 500 ? .denied : .failed, answer)
        }
        return answer
    }

    fileprivate func record(
        _ call: Call, _ outcome: RequestOutcome, _ status: Int, of response: Response
    ) throws {
        guard endpoint.trace != .denials, let trail = parts.trail else { return }
        var place = resource(call.request)
        if place.id == nil, let location = response.headers.first(where: { $0.name == "Location" }) {
            // What was made is named behind its collection.
            let path = location.value.dropFirst(mount.prefix.count).split(separator: "/")
            place.id = path.dropFirst().first.map(String.init)
        }
        let notes = call.notes?.content ?? RequestNotes.Content()
        var record = record(
            call.request, call.subject, outcome, status, notes.reason, place, notes, call.request.id)
        let trace = call.request.trace.traceparent
        switch endpoint.trace {
        case .denials: return
        case .noted: trail.note(record, traceparent: trace)
        // What is late is written later; the command's own events say who gave it.
        case .command: try? trail.keep(record, traceparent: trace)
        case .content:
            // What is said to be sent is what will be.
            let sent = try response.outcome(for: call.request)
            var key = record
            (key.status, key.requestID) = (sent.sendsBody ? nil : sent.status, nil)
            let isPart = sent.status == 206 || !sent.sendsBody
            (record.status, record.range) = (sent.status, SentRange(sent))
            try parts.viewings.record(key, isPart: isPart, at: parts.clock.now()) {
                // Bytes that nobody knows to have been taken are not given out.
                do { try trail.keep(record, traceparent: trace) } catch {
                    throw ErrorInfo(
                        .dependencyUnavailable, "the record of this download cannot be kept now",
                        retryAfter: 1)
                }
            }
        }
    }

    private func note(
        _ request: Request, _ subject: Subject?, _ told: RequestNotes?, _ outcome: RequestOutcome,
        _ error: HTTPError
    ) {
        var notes = told?.content ?? RequestNotes.Content()
        notes.details["given_reason"] = notes.reason
        let record = record(
            request, subject, outcome, error.status, error.message, resource(request), notes, request.id)
        let trace = request.trace.traceparent
        // Floods of refusals must not wait for the log.
        if endpoint.trace == .command, subject != nil, error.status != 429 {
            try? parts.trail?.keep(record, traceparent: trace)
        } else {
            parts.trail?.note(record, traceparent: trace)
        }
    }

    private func record(
        _ request: Request, _ subject: Subject?, _ outcome: RequestOutcome, _ status: Int?,
        _ reason: String?, _ resource: RequestResource, _ notes: RequestNotes.Content, _ requestID: String?
    ) -> RequestRecord {
        let isNamed = resource.kind == endpoint.naming.historyKind
        let agent = request.headers["User-Agent"]?.unicodeScalars.prefix(256)
        return RequestRecord(
            action: subject == nil ? nil : endpoint.action, resource: resource,
            history: endpoint.namesHistory ? request.parameter("id") : isNamed ? resource.id : nil,
            outcome: outcome, status: status, reason: reason, subject: subject,
            address: request.peer.address, requestID: requestID,
            userAgent: agent.map { String(String.UnicodeScalarView($0)) }, notes: notes)
    }

    private func resource(_ request: Request) -> RequestResource {
        RequestResource(endpoint.naming.kind, id: endpoint.naming.parameter.map { request.parameter($0) })
    }
}

extension SentRange {
    /// The part that is sent; nil where it is all, or nothing.
    fileprivate init?(_ sent: ResponseOutcome) {
        guard sent.status == 206, let length = sent.length, let last = sent.range.last else { return nil }
        self.init(first: sent.range.lowerBound, last: last, length: length)
    }
}

/// An upload inside its gate.
private struct GuardedSink: BodySink {
    let sink: any BodySink
    let gate: Gate
    let call: Call
    let headers: [HeaderField]

    func write(_ bytes: UnsafeRawBufferPointer) throws { try sink.write(bytes) }

    func finish(byteCount: UInt64) throws -> Response {
        do {
            var response = try sink.finish(byteCount: byteCount)
            try gate.record(call, .allowed, response.status, of: response)
            response.headers += headers
            return response
        } catch {
            throw gate.refusal(error, call, headers)
        }
    }

    func abandon() { sink.abandon() }

    var takesParts: Bool { sink.takesParts }

    var mayRest: Bool { sink.mayRest }
}
