internal import Base
internal import EventSourcing
internal import HTTPServer
internal import Recording

/// All streams of events that are open. They cost no thread: events are sent on by the thread that has read
/// them, and what waits for time to pass is looked after by `tend`.
final class LiveStreams: Sendable {
    private struct State {
        var streams: [ObjectIdentifier: LiveStream] = [:]
        /// Those whose client has not taken enough yet.
        var slow: [LiveStream] = []
        var lookedAt = Timestamp(milliseconds: 0)
    }

    private let state = Lock(State())

    /// Opens a stream.
    /// - Parameter watch: what may end it before the log does.
    func open(
        _ following: any EventFollowing, _ scope: FollowScope, from start: FollowStart, _ watch: StreamWatch
    ) throws(FollowRefusal) -> EventStream {
        let live = LiveStream(watch) { [weak self] stream in
            self?.state.withLock { $0.slow.append(stream) }
        }
        let stream = EventStream(limitBytes: LiveStream.limitBytes) { [weak self, weak live] in
            guard let live else { return }
            _ = self?.state.withLock { $0.streams.removeValue(forKey: ObjectIdentifier(live)) }
            live.cancel()
        }
        let follower = try following.follow(scope, from: start) { [weak live] in live?.send() }
        state.withLock { $0.streams[ObjectIdentifier(live)] = live }
        live.begin(stream, follower)
        return stream
    }

    /// Goes on with those whose clients have caught up, and ends those whose token has expired.
    func tend(now: Timestamp) {
        let (slow, all) = state.withLock { state in
            defer { state.slow = [] }
            guard abs(now.milliseconds(since: state.lookedAt)) >= 500 else {
                return (state.slow, [LiveStream]())
            }
            state.lookedAt = now
            return (state.slow, Array(state.streams.values))
        }
        for stream in all { stream.expire(now) }
        for stream in slow { stream.send() }
    }
}

/// What may end a stream before the log does.
struct StreamWatch: Sendable {
    /// Whose stream it is.
    let subject: Subject
    /// Until when its token holds; nil for ever.
    let expires: Timestamp?
    /// The sequence up to which it was known whose the session is when access was granted; nil when
    /// everything is followed.
    let admittedAt: UInt64?

    /// Whether an event is none of the follower's business: which cases hold a session.
    func hides(_ event: FollowedEvent) -> Bool {
        SessionEvent.holdTypeNames.contains(event.type) && !subject.may(.readHolds)
    }

    /// Why an event is the last one, or must not be seen any more.
    func end(before event: FollowedEvent) -> StreamEnd? {
        guard let admittedAt, event.sequence > admittedAt, event.type == "SessionUpdated",
            let metadata = (try? JSONValue(parsing: event.json))?["data"]?["metadata"],
            metadata.members != nil
        else { return nil }
        let ownership = Ownership(
            owner: metadata["owner"]?.string, project: metadata["project"]?.string)
        return subject.may(.readEvents, ownership) ? nil : .accessLost
    }

    /// Why no event comes behind this one.
    func end(after event: FollowedEvent) -> StreamEnd? {
        guard admittedAt != nil else { return nil }
        switch event.type {
        case "SessionDeleted": return .sessionDeleted
        // It may have given the session to somebody else: only who may read everybody's goes on.
        case FollowedEvent.unreadableType: return subject.may(.readEvents) ? nil : .failed
        default: return nil
        }
    }
}

/// One stream: takes from its follower while its client does, one thread at a time.
final class LiveStream: Sendable {
    /// While so many bytes wait for the client, the follower keeps the rest.
    static let waitingBytes = 128 << 10
    /// What may wait at all: the above and one batch, which the follower's queue bounds, twice over.
    static let limitBytes = 4 << 20

    private struct State {
        var stream: EventStream?
        var follower: (any FollowedEvents)?
        var isSending = false
        var goesOn = false
        var isCancelled = false
    }

    private let watch: StreamWatch
    private let onSlow: @Sendable (LiveStream) -> Void
    private let state = Lock(State())

    init(_ watch: StreamWatch, onSlow: @escaping @Sendable (LiveStream) -> Void) {
        self.watch = watch
        self.onSlow = onSlow
    }

    /// Begins to send.
    func begin(_ stream: EventStream, _ follower: any FollowedEvents) {
        // A first byte tells the client that it is connected, and how soon to come back.
        stream.send(Array("retry: 2000\n\n".utf8))
        state.withLock {
            $0.stream = stream
            $0.follower = follower
        }
        send()
    }

    /// Nobody listens any more.
    func cancel() {
        let follower = state.withLock { state in
            state.isCancelled = true
            state.stream = nil
            return state.follower.take()
        }
        follower?.cancel()
    }

    /// Ends the stream when its token has expired.
    func expire(_ now: Timestamp) {
        guard let expires = watch.expires, now >= expires else { return }
        if let stream = state.withLock({ $0.stream }) { finish(stream, .tokenExpired) }
    }

    /// Sends what there is. Several threads may come: one sends, and looks again for the others.
    func send() {
        let isFirst = state.withLock { state in
            state.goesOn = true
            defer { state.isSending = true }
            return !state.isSending
        }
        guard isFirst else { return }
        while let (stream, follower) = next() { send(stream, follower) }
    }

    private func next() -> (EventStream, any FollowedEvents)? {
        state.withLock { state in
            guard state.goesOn, !state.isCancelled, let stream = state.stream, let follower = state.follower
            else {
                state.isSending = false
                return nil
            }
            state.goesOn = false
            return (stream, follower)
        }
    }

    private func send(_ stream: EventStream, _ follower: any FollowedEvents) {
        while !stream.isClosed {
            guard stream.waitingBytes < Self.waitingBytes else { return onSlow(self) }
            switch follower.take(limit: 64) {
            case .ended(let reason): return finish(stream, reason)
            case .events(let events):
                if events.isEmpty { return }
                for event in events {
                    if let reason = watch.end(before: event) { return finish(stream, reason) }
                    if !watch.hides(event) { stream.send(event.frame) }
                    if let reason = watch.end(after: event) { return finish(stream, reason) }
                }
            }
        }
    }

    private func finish(_ stream: EventStream, _ reason: StreamEnd) {
        // Without an id: a client that comes back goes on from the last event.
        stream.send(EventStream.frame(data: Array("{\"reason\":\"\(reason.rawValue)\"}".utf8), event: "end"))
        stream.finish()
    }
}
