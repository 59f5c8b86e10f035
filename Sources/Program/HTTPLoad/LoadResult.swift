/// What a client is to do.
package struct LoadPlan: Sendable {
    /// Requests as they are sent, taken in turn; each is answered with `Content-Length`.
    package var requests: [[UInt8]]
    /// The status that answers must have.
    package var status: Int
    /// Requests that may be under way at once; each goes out on the connection that has rested longest.
    package var inFlight: Int
    /// How long new requests are sent, in milliseconds.
    package var milliseconds: Int
    /// Requests in a second, sent when they are due, whatever has been answered; nil sends the next one as
    /// soon as there is an answer.
    package var perSecond: Int?
    /// Ends after so many requests, if that is earlier.
    package var count: Int?

    /// A plan that sends as fast as answers come.
    package init(_ requests: [[UInt8]], status: Int = 200, inFlight: Int, milliseconds: Int) {
        self.requests = requests
        self.status = status
        self.inFlight = inFlight
        self.milliseconds = milliseconds
    }
}

/// What a client has measured.
package struct LoadResult: Sendable {
    /// Answers as they should be.
    package var answered = 0
    /// Answers with another status, malformed ones, and requests whose connection broke or that were not
    /// answered in time.
    package var failed = 0
    /// Statuses of wrong answers, and how often; 0 is no answer.
    package var failures: [Int: Int] = [:]
    /// Bytes of the last good answer's body.
    package var bodyBytes = 0
    /// From the first request to the last answer.
    package var seconds = 0.0
    /// Of each good answer, in microseconds, sorted.
    package internal(set) var microseconds: [UInt32] = []

    /// Nothing.
    package init() {}

    /// Good answers in a second.
    package var perSecond: Double { seconds > 0 ? Double(answered) / seconds : 0 }

    /// The time, in milliseconds, that this share of the answers took at most; 0 when there are none.
    package func percentile(_ share: Double) -> Double {
        guard let last = microseconds.last else { return 0 }
        let place = Int(Double(microseconds.count) * share)
        return Double(place < microseconds.count ? microseconds[place] : last) / 1000
    }
}
