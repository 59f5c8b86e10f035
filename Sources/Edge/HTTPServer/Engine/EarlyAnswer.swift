internal import CMicrohttpd
internal import Glibc

// Answers in the middle of a body that may never end. libmicrohttpd can't answer before a body's end, and a
// stream's sender would go on sending for hours what nobody takes: so the answer is written past it, and the
// connection is closed behind it.

extension Exchange {
    /// How long a sender that was answered early may go on sending; what it sends is thrown away. Closing at
    /// once would take the answer away from it again.
    private static let lingerMilliseconds: Int64 = 5000

    /// Answers an error in the middle of a body; on the connection's own thread, or while it sleeps. Whether
    /// that could be done.
    func answerEarly(_ error: HTTPError) -> Bool {
        guard record.sendEarly(core.lastAnswer(error, for: self)) else { return false }
        status = error.status
        return true
    }

    /// What still comes is thrown away for a while.
    func linger() {
        stage = .lingering(until: monotonicMilliseconds() + Self.lingerMilliseconds)
        record.enter(.body)
    }
}
