internal import Base

/// One follower of server-sent events. Anybody may send from any thread; nothing blocks. An idle
/// follower costs no thread and nearly no memory: its connection sleeps until something is sent.
package final class EventStream: Sendable {
    private struct State {
        var waiting: [[UInt8]] = []
        var first = 0
        var offset = 0
        var byteCount = 0
        var isEnded = false
        var sleeping: ConnectionRecord?
        var onClose: (@Sendable () -> Void)?
        var lastSent: Int64
    }

    private let state: Lock<State>
    private let limitBytes: Int

    /// At most `limitBytes` wait for a slow client; one that is slower is cut off, and comes back with
    /// `Last-Event-ID`. `onClose` is called once, when nothing can be sent any more: it must not block.
    package init(limitBytes: Int = 1 << 20, onClose: @escaping @Sendable () -> Void = {}) {
        self.limitBytes = limitBytes
        state = Lock(State(onClose: onClose, lastSent: monotonicMilliseconds()))
    }

    /// The bytes of one event. Line breaks in `data` become several `data` lines; `id` and `event`
    /// must have none.
    package static func frame(data: [UInt8], id: String? = nil, event: String? = nil) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(data.count + 64)
        if let id { out.append(contentsOf: "id: \(HeaderField("", id).value)\n".utf8) }
        if let event { out.append(contentsOf: "event: \(HeaderField("", event).value)\n".utf8) }
        for line in data.split(omittingEmptySubsequences: false, whereSeparator: { $0 == 10 || $0 == 13 }) {
            out.append(contentsOf: "data: ".utf8)
            out.append(contentsOf: line)
            out.append(10)
        }
        out.append(10)
        return out
    }

    /// Sends bytes that `frame` made; the same array may go to thousands of followers. False when the
    /// follower is gone or was too slow: then it is closed.
    @discardableResult
    package func send(_ frame: [UInt8]) -> Bool {
        guard !frame.isEmpty else { return !isClosed }
        var isSent = false
        let (sleeping, close) = state.withLock { state -> (ConnectionRecord?, (@Sendable () -> Void)?) in
            guard !state.isEnded else { return (nil, nil) }
            var close: (@Sendable () -> Void)?
            if state.byteCount + frame.count > limitBytes {
                state.isEnded = true
                close = state.onClose.take()
            } else {
                state.waiting.append(frame)
                state.byteCount += frame.count
                state.lastSent = monotonicMilliseconds()
                isSent = true
            }
            return (state.sleeping.take(), close)
        }
        sleeping?.resume()
        close?()
        return isSent
    }

    /// Ends the stream when what waits has been sent.
    package func finish() {
        let (sleeping, close) = state.withLock { state in
            state.isEnded = true
            return (state.sleeping.take(), state.onClose.take())
        }
        sleeping?.resume()
        close?()
    }

    /// Whether nothing can be sent any more.
    package var isClosed: Bool { state.withLock { $0.isEnded } }

    /// Bytes that wait for the client.
    package var waitingBytes: Int { state.withLock { $0.byteCount } }

    /// A comment, so that nobody between here and the client takes the connection for dead, and so that
    /// a client that is gone is noticed.
    func beat(now: Int64, everyMilliseconds: Int64) {
        if state.withLock({ !$0.isEnded && now - $0.lastSent >= everyMilliseconds }) { send([0x3A, 10, 10]) }
    }

    /// What the client's connection asks for: bytes copied, 0 when it was put to sleep, nil at the end.
    func read(into out: UnsafeMutableRawBufferPointer, for connection: ConnectionRecord) -> Int? {
        state.withLock { state -> Int? in
            var count = 0
            while count < out.count, state.first < state.waiting.count {
                let frame = state.waiting[state.first]
                let size = min(out.count - count, frame.count - state.offset)
                frame.withUnsafeBytes {
                    let piece = UnsafeRawBufferPointer(rebasing: $0[state.offset..<state.offset + size])
                    UnsafeMutableRawBufferPointer(rebasing: out[count...]).copyMemory(from: piece)
                }
                count += size
                state.offset += size
                if state.offset == frame.count {
                    state.first += 1
                    state.offset = 0
                }
            }
            state.byteCount -= count
            if state.first == state.waiting.count || state.first >= 64 {
                state.waiting.removeFirst(state.first)
                state.first = 0
            }
            if count > 0 { return count }
            if state.isEnded || !connection.suspend(for: self) { return nil }
            state.sleeping = connection
            return 0
        }
    }
}

extension EventStream: Suspendable {
    func release() { finish() }
}
