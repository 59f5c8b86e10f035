internal import APIKit
internal import Engine
internal import Base
internal import EventSourcing
internal import HTTPServer
internal import Recording
internal import Access

/// `/sessions/{id}/events` and `/events`: what has happened, as pages in JSON, or as it happens.
struct EventsResource: Sendable {
    let service: SessionService
    let store: StorePool
    let versions: SessionVersions
    /// Who reads the log for those who follow its events; nil: nobody.
    let feed: LiveFeed?
    let streams: LiveStreams

    var endpoints: [Endpoint] {
        [
            Endpoint(.get, "/sessions/{id}/events", .readEvents, .status, .eventsRead, answer: session),
            // What goes by may hold the audit trail, and whoever reads that leaves a record in it.
            Endpoint(.get, "/events", .readAllEvents, .status, .eventsRead, .noted, answer: everything),
        ]
    }

    private func session(_ call: Call) throws -> Response {
        let query = try EventsQuery(call.request)
        var answer = try service.session(call)
        let id = try call.sessionID()
        var after: UInt64?
        if case .after(let place) = query.start {
            guard let sequence = Self.sequence(place) else { throw query.unknownPlace }
            if sequence > answer.version {
                // Others may be ahead of what is known here: of the place, and of who may read behind it.
                let version = try store.version(of: id)
                guard sequence <= version else { throw query.unknownPlace }
                versions.note(version, of: id)
                answer = try service.session(call)
            }
            after = sequence
        }
        if query.isStream {
            return try stream(call, query, .session(id), admittedAt: answer.decidedAt)
        }
        let entries = try store.entries(of: id, after: after ?? 0, limit: query.limit).entries
        let holes = entries.compactMap { if case .unreadable(let hole) = $0 { hole } else { nil } }
        let events = entries.compactMap(\.event)
        return Self.list(
            call.subject.may(.readHolds)
                ? events : events.filter { !SessionEvent.holdTypeNames.contains($0.type) }, holes,
            next: String(entries.last?.sequence ?? after ?? 0),
            hasMore: entries.count == query.limit)
    }

    private func everything(_ call: Call) throws -> Response {
        try call.requireAll()
        let query = try EventsQuery(call.request)
        let filter = LiveFilter.everything(includesAudit: call.subject.may(.readAudit))
        if query.isStream { return try stream(call, query, filter, admittedAt: nil) }
        var after: String?
        if case .after(let place) = query.start { after = place }
        _ = try following()
        let page = try LiveHistory.page(after: after, limit: query.limit, filter: filter, from: store)
        guard let page else { throw query.unknownPlace }
        return Self.list(page.events, page.unreadable, next: page.place, hasMore: page.hasMore)
    }

    /// A sequence as it was given out; nil for anything else.
    private static func sequence(_ text: String) -> UInt64? {
        guard let sequence = UInt64(text), String(sequence) == text, sequence < UInt64(Int64.max) else {
            return nil
        }
        return sequence
    }

    private static func list(
        _ events: [RecordedEvent], _ holes: [UnreadableHole], next: String, hasMore: Bool
    ) -> Response {
        var writer = JSONWriter(reserving: 1024 * (events.count + 1))
        writer.object { json in
            json.key("events")
            json.array { list in for event in events { event.encodeCloudEvent(into: &list) } }
            if !holes.isEmpty {
                json.key("unreadable")
                json.array { list in for hole in holes { hole.encode(into: &list) } }
            }
            json.member("next_after", next)
            json.member("has_more", hasMore)
        }
        return .json(writer.bytes, headers: [HeaderField("Cache-Control", "no-store")])
    }

    private func following() throws -> LiveFeed {
        guard let feed else {
            throw ErrorInfo(.dependencyUnavailable, "this server does not follow the log")
        }
        return feed
    }

    private func stream(
        _ call: Call, _ query: EventsQuery, _ filter: LiveFilter, admittedAt: UInt64?
    ) throws -> Response {
        let feed = try following()
        let headers = [HeaderField("Cache-Control", "no-store"), HeaderField("X-Accel-Buffering", "no")]
        guard call.request.method == "GET" else {
            // Nobody reads what would be sent to a HEAD.
            let nothing = EventStream()
            nothing.finish()
            return .events(nothing, headers: headers)
        }
        let watch = SessionWatch(subject: call.subject, expires: call.expires, admittedAt: admittedAt)
        do throws(LiveRefusal) {
            let stream = try streams.open(feed, filter, from: query.start, watch)
            return .events(stream, headers: headers)
        } catch {
            switch error {
            case .unknownID: throw query.unknownPlace
            case .tooMany:
                throw ErrorInfo(.dependencyUnavailable, "as many follow events as may", retryAfter: 5)
            case .unavailable:
                throw ErrorInfo(.dependencyUnavailable, "the log cannot be followed now", retryAfter: 1)
            }
        }
    }
}

/// What is asked of events.
struct EventsQuery {
    /// Whether they are wanted as they happen.
    let isStream: Bool
    /// From where on.
    var start = LiveStart.beginning
    /// The most events on a page.
    var limit = 100
    /// Where the place stood that was given.
    private var field = "after"

    /// `after` and, for pages, `limit`; for streams the header `Last-Event-ID`, which a client that comes
    /// back sends beside the `after` that it first came with, and which counts.
    init(_ request: Request) throws {
        isStream = Self.wantsStream(request.headers.list("Accept"))
        var violations: [Violation] = []
        var seen: Set<String> = []
        for (name, value) in request.query.items.map({ ($0.name, $0.value) }) {
            if !seen.insert(name).inserted {
                violations.append(Violation(String(name.prefix(64)), "must be given once"))
                continue
            }
            switch name {
            case "after" where isStream && value == "now": start = .now
            case "after": start = .after(value)
            case "limit" where !isStream:
                let isWhole = !value.isEmpty && value.utf8.allSatisfy { (0x30...0x39).contains($0) }
                if isWhole, let number = Int(value), (1...1000).contains(number) {
                    limit = number
                } else {
                    violations.append(Violation("limit", "must be a whole number between 1 and 1000"))
                }
            default:
                violations.append(Violation(String(name.prefix(64)), "is not a parameter of this request"))
            }
        }
        guard violations.isEmpty else { throw RequestFailure.invalid(violations) }
        // An empty one is what a client has that has seen no event.
        guard let last = request.headers["Last-Event-ID"], !last.isEmpty else { return }
        let isPlace = last.utf8.count <= 7000 && last.utf8.allSatisfy(Self.isAllowed)
        if isStream || !isPlace { field = "Last-Event-ID" }
        guard isPlace else { throw unknownPlace }
        if isStream { start = .after(last) }
    }

    /// What places are written with.
    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x5F: true
        default: false
        }
    }

    /// The refusal of a place that nobody was given.
    var unknownPlace: ErrorInfo {
        let rule = "must be a place that was given out for these events"
        return ErrorInfo(
            .malformedRequest, "\(field) \(rule)", status: 400, violations: [Violation(field, rule)])
    }

    /// Streams are for those who name them.
    private static func wantsStream(_ accept: String?) -> Bool {
        (accept ?? "").split(separator: ",").contains { element in
            let parts = element.split(separator: ";").map { String($0).trimmingBlanks.lowercased() }
            guard parts.first == "text/event-stream" else { return false }
            let weight = parts.dropFirst().first { $0.hasPrefix("q=") }.flatMap { Double($0.dropFirst(2)) }
            return (weight ?? 1) > 0
        }
    }
}
