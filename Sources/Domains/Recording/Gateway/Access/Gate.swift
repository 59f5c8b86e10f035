internal import EventSourcing
internal import HTTPServer
internal import Recording

/// What stands around every endpoint: who asks, whether that is too often, whether the role allows anything
/// of the kind, and the records of it.
struct Gate: Sendable {
    let core: Core
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
            let admission = core.parts.authenticator.knownAdmission(ofToken: token),
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
        do { admission = try core.parts.authenticator.admission(of: request) } catch {
            try countStranger(request)
            note(request, nil, nil, .denied, ErrorAnswers.answer(error))
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
            core: core, mount: mount, request: request, subject: admission.subject,
            expires: admission.expires,
            operation: endpoint.operation, notes: endpoint.trace == .denials ? nil : RequestNotes())
    }

    private func requireReach(_ call: Call, _ headers: [HeaderField]) throws {
        guard call.subject.reach(endpoint.operation) > .none else {
            let error = ErrorInfo(.notAllowed, "your role does not allow \(endpoint.operation.rawValue)")
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
        guard let limiter = core.parts.limiter else { return [] }
        let decision = limiter.take(core.settings.rates.rule(kind), by: name)
        return try headers(of: decision, kind, request, subject)
    }

    /// The decision about a request where it takes no question to anybody; `.some(nil)` where nobody counts.
    private func countAtOnce(_ subject: Subject) -> RateDecision?? {
        guard let limiter = core.parts.limiter else { return .some(nil) }
        let rule = core.settings.rates.rule(endpoint.limit)
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
        var answer = ErrorAnswers.answer(error)
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
        _ call: Call, _ outcome: AuditOutcome, _ status: Int, of response: Response
    ) throws {
        guard endpoint.trace != .denials, let desk = core.parts.audit else { return }
        var place = resource(call.request)
        if place.id == nil, let location = response.headers.first(where: { $0.name == "Location" }) {
            // What was made is named behind its collection.
            let parts = location.value.dropFirst(mount.prefix.count).split(separator: "/")
            place = AuditResource(place.type, id: parts.dropFirst().first.map(String.init))
        }
        let notes = call.notes?.content ?? RequestNotes.Content()
        func record(_ status: Int?, _ range: AuditRange? = nil, request: String?) -> AuditRecord {
            self.record(
                call.request, call.subject, outcome, status, notes.purpose.reason, place, notes, range,
                request)
        }
        let trace = call.request.trace.traceparent
        switch endpoint.trace {
        case .denials: return
        case .noted: desk.note(record(status, request: call.request.id), traceparent: trace)
        // What is late is written later; the command's own events say who gave it.
        case .command: try? desk.keep(record(status, request: call.request.id), traceparent: trace)
        case .content:
            // What is said to be sent is what will be.
            let sent = try response.outcome(for: call.request)
            var key = record(nil, request: nil)
            if !sent.sendsBody { key = record(sent.status, request: nil) }
            let isPart = sent.status == 206 || !sent.sendsBody
            try core.viewings.record(key, isPart: isPart, at: core.now()) {
                let taken = record(sent.status, AuditRange(sent), request: call.request.id)
                // Bytes that nobody knows to have been taken are not given out.
                do { try desk.keep(taken, traceparent: trace) } catch {
                    throw ErrorInfo(
                        .dependencyUnavailable, "the record of this download cannot be kept now",
                        retryAfter: 1)
                }
            }
        }
    }

    private func note(
        _ request: Request, _ subject: Subject?, _ told: RequestNotes?, _ outcome: AuditOutcome,
        _ error: HTTPError
    ) {
        var notes = told?.content ?? RequestNotes.Content()
        notes.details["given_reason"] = notes.purpose.reason
        let record = record(
            request, subject, outcome, error.status, error.message, resource(request), notes, nil,
            request.id)
        let trace = request.trace.traceparent
        // Floods of refusals must not wait for the log.
        if endpoint.trace == .command, subject != nil, error.status != 429 {
            try? core.parts.audit?.keep(record, traceparent: trace)
        } else {
            core.parts.audit?.note(record, traceparent: trace)
        }
    }

    private func record(
        _ request: Request, _ subject: Subject?, _ outcome: AuditOutcome, _ status: Int?, _ reason: String?,
        _ resource: AuditResource, _ notes: RequestNotes.Content, _ range: AuditRange?, _ requestID: String?
    ) -> AuditRecord {
        let actor = subject.map {
            AuditActor(type: .user, subject: $0.id, roles: $0.roles.map(\.rawValue).sorted())
        }
        return AuditRecord(
            subject == nil ? .authenticate : endpoint.action, on: resource,
            session: endpoint.namesSession
                ? request.parameter("id") : resource.type == .session ? resource.id : nil,
            outcome: outcome,
            statusCode: status, reason: reason, actor: actor ?? .unauthenticated,
            address: request.peer.address, requestID: requestID,
            userAgent: request.headers["User-Agent"], changed: notes.changed,
            sessionSequence: notes.sessionSequence, range: range, caseName: notes.purpose.caseName,
            details: notes.details)
    }

    private func resource(_ request: Request) -> AuditResource {
        if endpoint.namesChunk { return AuditResource(.chunk, id: request.parameter("chunk_id")) }
        if endpoint.namesSession { return AuditResource(.session, id: request.parameter("id")) }
        if endpoint.operation == .readAllEvents { return AuditResource(.events) }
        if endpoint.operation == .readAudit { return AuditResource(.audit) }
        if endpoint.operation == .readConfiguration { return AuditResource(.configuration) }
        return AuditResource(endpoint.limit == .statistics ? .statistics : .session)
    }
}

extension AuditRange {
    /// The part that is sent; nil where it is all, or nothing.
    fileprivate init?(_ sent: ResponseOutcome) {
        guard sent.status == 206, let length = sent.length, let last = sent.range.last else {
            return nil
        }
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
