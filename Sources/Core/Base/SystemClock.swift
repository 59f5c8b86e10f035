internal import Glibc

/// The machine's clock (CLOCK_REALTIME).
package struct SystemClock: WallClock {
    /// The machine's clock.
    package init() {}

    /// The time of the call.
    package func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(milliseconds: 0)
            .advanced(byMilliseconds: Int64(time.tv_sec) *| 1000 +| Int64(time.tv_nsec) / 1_000_000)
    }
}
