package import Base
package import Engine
internal import EventSourcing
package import HTTPServer
package import Supervision

/// All streams of events that are open. They cost no thread: events are sent on by the thread that has read
/// them, and what waits for time to pass is looked after by `tend`.
package final class LiveStreams: Service {
    private static let everyMilliseconds = 50

    /// Name of the service that looks after them.
    package let name = "streams"
    private let clock: any WallClock

    /// No streams yet.
    package init(clock: any WallClock) { self.clock = clock }

    /// Looks after them until `stop` is set; never blocks on a client.
    package func run(stop: StopSignal) {
        while !stop.isSet {
            tend(now: clock.now())
            stop.wait(milliseconds: Self.everyMilliseconds)
        }
    }

    private struct State {
        var streams: [ObjectIdentifier: LiveStream] = [:]
        /// Those whose client has not taken enough yet.
        var slow: [LiveStream] = []
        var lookedAt = Timestamp(milliseconds: 0)
    }

    private let state = Lock(State())

    /// Opens a stream.
    /// - Parameter watch: what may end it before the log does.
    package func open(
        _ feed: LiveFeed, _ filter: LiveFilter, from start: LiveStart, _ watch: any StreamWatch
    ) throws(LiveRefusal) -> EventStream {
        let live = LiveStream(watch) { [weak self] stream in
            self?.state.withLock { $0.slow.append(stream) }
        }
        let stream = EventStream(limitBytes: LiveStream.limitBytes) { [weak self, weak live] in
            guard let live else { return }
            _ = self?.state.withLock { $0.streams.removeValue(forKey: ObjectIdentifier(live)) }
            live.cancel()
        }
        let follower = try feed.follow(filter, from: start) { [weak live] in live?.send() }
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

/// Why a stream of events ends; its last event, of type `end`, says so. Domains add reasons of their own.
package struct StreamEnd: Sendable, Hashable {
    /// The reason as it is sent.
    package let rawValue: String
    package init(_ rawValue: String) { self.rawValue = rawValue }

    /// The token does not hold any longer.
    package static let tokenExpired = StreamEnd("token_expired")
    /// What is followed was given to somebody else, and the follower has no part in it.
    package static let accessLost = StreamEnd("access_lost")
    /// The log ends before the follower's place.
    package static let unknownPlace = StreamEnd("unknown_place")
    /// The log cannot be read there.
    package static let failed = StreamEnd("failed")
    /// The server stops: go on at another, or later.
    package static let stopping = StreamEnd("stopping")
}

/// What may end a stream before the log does, and what is left out of it.
package protocol StreamWatch: Sendable {
    /// Until when its token holds; nil for ever.
    var expires: Timestamp? { get }
    /// Whether an event is none of the follower's business.
    func hides(_ event: LiveEvent) -> Bool
    /// Why an event must not be seen any more; nil where it may.
    func end(before event: LiveEvent) -> StreamEnd?
    /// Why no event comes behind this one; nil where others may.
    func end(after event: LiveEvent) -> StreamEnd?
}

/// One stream: takes from its follower while its client does, one thread at a time.
package final class LiveStream: Sendable {
    /// While so many bytes wait for the client, the follower keeps the rest.
    package static let waitingBytes = 128 << 10
    /// What may wait at all: the above and one batch, which the follower's queue bounds, twice over.
    static let limitBytes = 4 << 20

    private struct State {
        var stream: EventStream?
        var follower: (LiveFollower)?
        var isSending = false
        var goesOn = false
        var isCancelled = false
    }

    private let watch: any StreamWatch
    private let onSlow: @Sendable (LiveStream) -> Void
    private let state = Lock(State())

    init(_ watch: any StreamWatch, onSlow: @escaping @Sendable (LiveStream) -> Void) {
        self.watch = watch
        self.onSlow = onSlow
    }

    /// Begins to send.
    func begin(_ stream: EventStream, _ follower: LiveFollower) {
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

    private func next() -> (EventStream, LiveFollower)? {
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

    private func send(_ stream: EventStream, _ follower: LiveFollower) {
        while !stream.isClosed {
            guard stream.waitingBytes < Self.waitingBytes else { return onSlow(self) }
            switch follower.take(limit: 64) {
            case .ended(let end): return finish(stream, StreamEnd(end))
            case .items(let items):
                if items.isEmpty { return }
                for item in items {
                    let event = item.event
                    if let reason = watch.end(before: event) { return finish(stream, reason) }
                    if !watch.hides(event) { stream.send(Self.frame(of: item)) }
                    if let reason = watch.end(after: event) { return finish(stream, reason) }
                }
            }
        }
    }

    /// What is sent of an event: the same array for all who can share it.
    private static func frame(of item: LiveItem) -> [UInt8] {
        item.event.sent(as: item.id) {
            EventStream.frame(data: item.event.json, id: item.id, event: item.event.type)
        }
    }

    private func finish(_ stream: EventStream, _ reason: StreamEnd) {
        // Without an id: a client that comes back goes on from the last event.
        stream.send(EventStream.frame(data: Array("{\"reason\":\"\(reason.rawValue)\"}".utf8), event: "end"))
        stream.finish()
    }
}

extension StreamEnd {
    fileprivate init(_ end: LiveEnd) {
        switch end {
        case .cancelled, .stopping: self = .stopping
        case .unknownPlace: self = .unknownPlace
        case .failed: self = .failed
        }
    }
}
