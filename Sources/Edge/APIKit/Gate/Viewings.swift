internal import Base

/// Who looks at which recorded bytes at the moment, so that there is one record of each viewing, and not one
/// of each jump in it.
///
/// A viewing begins with a record. Whoever asks for parts of the same bytes from the same place for the same
/// reason belongs to it, until ten minutes have passed without a request, or an hour since its record: the
/// record says that its viewer could take any of the bytes meanwhile. Whoever takes all at once leaves a
/// record each time.
package final class Viewings: Sendable {
    /// How long a viewing waits for its next request.
    package static let idle_ms: Int64 = 600_000
    /// How long a record stands for.
    package static let longest_ms: Int64 = 3_600_000
    /// Of more than these the oldest are forgotten: they leave a record more.
    private static let kept = 10_000

    private struct Viewing {
        var began: Timestamp
        var last: Timestamp

        func goesOn(at now: Timestamp) -> Bool {
            let (idle, length) = (
                now.milliseconds(since: last), now.milliseconds(since: began)
            )
            return (0...Viewings.idle_ms).contains(idle) && (0...Viewings.longest_ms).contains(length)
        }
    }

    private final class Place: Sendable {
        let viewing = Lock<Viewing?>(nil)
    }

    private let places = SharedCache<RequestRecord, Place>(limit: kept)

    /// Writes the record of a request, unless one stands for it already.
    /// - Parameters:
    ///   - key: the record without what differs from request to request.
    ///   - isPart: whether the request may belong to a viewing.
    ///   - write: returns when the record is durable; where it throws, no viewing has begun.
    func record(_ key: RequestRecord, isPart: Bool, at now: Timestamp, _ write: () throws -> Void) throws {
        let place = places.value(of: key) { Place() }
        guard isPart else {
            // They need not wait for each other.
            try write()
            place.viewing.withLock { $0 = Viewing(began: now, last: now) }
            return
        }
        // A player asks for several parts at once: the others wait for the record of the first.
        try place.viewing.withLock { viewing in
            if viewing?.goesOn(at: now) == true {
                viewing?.last = now
                return
            }
            try write()
            viewing = Viewing(began: now, last: now)
        }
    }
}
