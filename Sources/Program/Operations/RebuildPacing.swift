internal import Base

/// How soon the read models are built again for a reason for which they were built just now.
///
/// Whoever drops a collection now and then is served at once. Where the same is missing each time again, two
/// programs run beside each other that show different views, each passing over what the other keeps: that
/// ends with the older one, and until then the log is not to be read again and again.
package struct RebuildPacing {
    /// A rebuild that ended so long ago has nothing to do with what is missing now.
    private static let memoryMilliseconds: Int64 = 60_000
    /// So many follow each other without a pause.
    private static let free = 3
    private static let longestMilliseconds: Int64 = 3_600_000

    private var reason = ""
    private var count = 0
    private var ended_ms: Int64 = 0
    private var pause_ms: Int64 = 0

    /// Nothing was built yet.
    package init() {}

    /// Milliseconds to wait before the next rebuild for this reason; 0 for none.
    /// - Parameter now_ms: of a clock that never jumps.
    package func left(before reason: String, at now_ms: Int64) -> Int64 {
        guard reason == self.reason else { return 0 }
        return max(0, ended_ms +| pause_ms -| now_ms)
    }

    /// Notes a rebuild that has ended.
    package mutating func note(_ reason: String, at now_ms: Int64) {
        let follows = reason == self.reason && now_ms -| ended_ms <= pause_ms +| Self.memoryMilliseconds
        count = follows ? count + 1 : 1
        self.reason = reason
        ended_ms = now_ms
        let doublings = min(max(0, count - Self.free), 6)
        pause_ms =
            count < Self.free ? 0 : min(Self.memoryMilliseconds << Int64(doublings), Self.longestMilliseconds)
    }
}
