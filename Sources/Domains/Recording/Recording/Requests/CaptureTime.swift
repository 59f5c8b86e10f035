package import Base

/// When a chunk was captured, as its sender says, against the server's clock.
///
/// A time far outside the recording is most likely a mistake of a clock or a time zone. Recordings that were
/// made before and are uploaded later are lawful, though, and a recorder whose clock is wrong can't help it:
/// what can have been is taken, and said to whoever sends it. What cannot have been is refused.
package enum CaptureTime {
    /// A chunk that was captured longer ago is remarked on: a day.
    package static let pastMilliseconds: Int64 = 86_400_000
    /// Clocks differ: so far ahead of ours is nothing to remark on.
    package static let aheadMilliseconds: Int64 = 300_000
    /// Farther ahead no clock is by mistake of a time zone: a day.
    package static let futureMilliseconds: Int64 = 86_400_000

    /// The rule that a time breaks; nil when it breaks none.
    package static func violation(_ time: Timestamp, now: Timestamp) -> Violation? {
        if time.milliseconds < 0 { return Violation("timestamp", "must not be before 1970") }
        if time.milliseconds(since: now) <= futureMilliseconds { return nil }
        return Violation(
            "timestamp",
            "must not be more than \(futureMilliseconds / 3_600_000) hours ahead of the server's clock, "
                + "which shows \(now.rfc3339)")
    }

    /// What is remarkable about a lawful time, in the form of a rule that it does not keep; nil when nothing
    /// is.
    package static func remark(_ time: Timestamp, now: Timestamp) -> Violation? {
        let age = now.milliseconds(since: time)
        if age > pastMilliseconds {
            return Violation(
                "timestamp",
                "is \(age / 3_600_000) hours before the upload; if that is not when it was recorded, the "
                    + "sender's clock or time zone is wrong")
        }
        if age < -aheadMilliseconds {
            return Violation(
                "timestamp",
                "is \(-age / 60_000) minutes ahead of the server's clock, which shows \(now.rfc3339); the "
                    + "sender's clock or time zone is wrong")
        }
        return nil
    }
}

extension JSONWriter {
    /// The answer's member `reel` with what is remarkable about what was sent; none where nothing is.
    package mutating func remarks(_ remarks: [Violation]) {
        guard !remarks.isEmpty else { return }
        member("reel") { json in
            json.key("warnings")
            json.array { list in
                for remark in remarks {
                    list.object { json in
                        json.member("field", remark.field)
                        json.member("text", remark.rule)
                    }
                }
            }
        }
    }
}
