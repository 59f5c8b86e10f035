internal import Base

/// How much of one kind one subject may do in a minute.
package struct RateRule: Sendable, Hashable {
    /// Name of the kind; it is part of a key, so rules of one name count together.
    package var name: String
    /// How often in any `windowMilliseconds`, from 1.
    package var limit: Int

    /// Over how long is counted.
    package static let windowMilliseconds = 60_000
    /// Slots of a window: counts are kept for each, and leave when their slot is a window old.
    package static let slots = 12
    /// Milliseconds of a slot.
    package static let slotMilliseconds = windowMilliseconds / slots

    /// A rule from its parts; a limit below 1 counts as 1.
    package init(name: String, limit: Int) {
        self.name = name
        self.limit = max(1, limit)
    }
}

/// Whether something may be done now, and what the answer's headers say about it.
package struct RateDecision: Sendable, Hashable {
    /// Whether it may be done. It counts only if so.
    package var isAllowed: Bool
    /// How often it may be done in a minute.
    package var limit: Int
    /// How often it may still be done now.
    package var remaining: Int
    /// Milliseconds until there is more room: until a refused one may be tried again, or until the oldest
    /// of those that count leaves the window. 0 when none counts.
    package var resetMilliseconds: Int
    package init(isAllowed: Bool, limit: Int, remaining: Int, resetMilliseconds: Int) {
        self.isAllowed = isAllowed
        self.limit = limit
        self.remaining = remaining
        self.resetMilliseconds = resetMilliseconds
    }

    /// `resetMilliseconds` in whole seconds, rounded up: for `Retry-After` and `X-RateLimit-Reset`.
    package var resetSeconds: Int { (resetMilliseconds +| 999) / 1000 }
}

/// What a counter gave out.
package struct RateGrant: Sendable, Hashable {
    /// How many of those asked for were granted: 0 when the limit is reached.
    package var granted: Int
    /// How many more would be granted.
    package var remaining: Int
    /// Milliseconds until the oldest of those that count leaves; 0 when none counts.
    package var resetMilliseconds: Int
    package init(granted: Int, remaining: Int, resetMilliseconds: Int) {
        self.granted = granted
        self.remaining = remaining
        self.resetMilliseconds = resetMilliseconds
    }
}

/// Counts what subjects do in a sliding window of twelve slots. Never grants more than the limit in any
/// window. Calls block; any thread may call.
package protocol RateCounter: Sendable {
    /// Takes up to `count` of what a subject may do, all that is left when that is less.
    func take(_ count: Int, of subject: String, under rule: RateRule) throws(LogFailure) -> RateGrant
}

/// Says whether a subject may do something now. Calls may block for a moment; any thread may call.
package protocol RateLimiter: Sendable {
    /// Counts one and answers whether it may be done. Never fails: what an implementation does when it
    /// can't count is its own decision.
    /// - Parameter subject: who does it, such as `user:alice` or `address:192.0.2.7`.
    func take(_ rule: RateRule, by subject: String) -> RateDecision

    /// The same where that takes no call to anybody else; nil, and nothing counted, where it does. Never
    /// blocks.
    func takeAtOnce(_ rule: RateRule, by subject: String) -> RateDecision?
}

extension RateLimiter {
    /// For limiters that always ask.
    package func takeAtOnce(_ rule: RateRule, by subject: String) -> RateDecision? { nil }
}
