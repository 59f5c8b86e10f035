/// How many items a worker takes at once: many that take little time, so that they share round trips; few
/// that take long, so that no worker sits on what others could do meanwhile. A state machine without I/O.
struct BatchSize {
    /// No batch is longer than what fits into this.
    private static let budget = Duration.milliseconds(40)
    private static let most = 64
    /// As long as nothing was work (events that are none of a stage's business take no time, and say
    /// nothing about those that are), batches stay this small.
    private static let mostUnknown = 8

    /// Items to ask for.
    private(set) var limit = 1
    /// What the slowest of the recent items took; nil before the first.
    private var slowest: Duration?

    /// An item that was work took this long.
    mutating func took(_ elapsed: Duration) {
        slowest = max(slowest ?? .zero, elapsed)
    }

    /// A batch is done: sets the next limit.
    mutating func next() {
        guard let each = slowest else {
            limit = min(limit * 2, Self.mostUnknown)
            return
        }
        let fitting = Int(Self.budget / max(each, .microseconds(10)))
        limit = min(max(1, fitting), min(Self.most, limit * 2))
        // One slow item is forgotten after some batches of quick ones.
        slowest = each * 7 / 8
    }
}
