package import Base

/// The counts of one subject under one rule: a sliding window of slots, as a value. The rules are those of
/// the server-side function in `RedisLog`, and the contract holds both to the same answers.
package struct RateWindow: Sendable, Hashable {
    private var counts: [Int64: Int] = [:]

    /// A window in which nothing counts.
    package init() {}

    /// Whether nothing counts any more.
    package var isEmpty: Bool { counts.isEmpty }

    /// Takes up to `count`, all that is left when that is less.
    package mutating func take(_ count: Int, under limit: Int, at now: Timestamp) -> RateGrant {
        let width = Int64(RateRule.slotMilliseconds)
        let slot = now.milliseconds / width
        forget(at: now)
        let used = counts.values.reduce(0, +|)
        let granted = max(0, min(count, limit - used))
        if granted > 0 { counts[slot, default: 0] += granted }
        var reset = 0
        if let oldest = counts.keys.min() {
            let leaves = (oldest +| Int64(RateRule.slots) +| 1) *| width
            reset = Int(clamping: leaves -| now.milliseconds)
        }
        return RateGrant(
            granted: granted, remaining: max(0, limit - used - granted), resetMilliseconds: reset)
    }

    /// Drops what has left the window.
    package mutating func forget(at now: Timestamp) {
        let slot = now.milliseconds / Int64(RateRule.slotMilliseconds)
        // A slot leaves when all of it is a window old. One that lies ahead was counted before the clock
        // was set back, and would stay for as long as it was.
        counts = counts.filter { $0.key >= slot -| Int64(RateRule.slots) && $0.key <= slot }
    }
}
