internal import Base

/// Which partitions the next read asks: a state machine without I/O.
///
/// COUNT is a limit per stream, so one read of all streams could hand a member far more than it asked
/// for, which then waits with it while others are idle. So a member reads without blocking a window of
/// at most as many streams as it has room, the windows following each other round the ring: a busy
/// partition cannot starve the others. When a whole round was empty it blocks on all streams at once.
struct StreamRotation {
    enum Read: Equatable {
        /// Read these partitions, at most `count` entries from each, without blocking.
        case window([Int], count: Int)
        /// Wait for entries in all partitions, at most `count` from each.
        case wait([Int], count: Int)
    }

    let partitions: Int
    private var cursor = 0
    private var quiet = 0

    /// - Parameter member: number of the member in its process. Members begin at different places of the
    ///   ring, or they would move round it together, all at one partition and none at the others.
    init(partitions: Int, member: Int = 0) {
        self.partitions = partitions
        // Steps of the golden ratio spread any number of members about evenly.
        let turns = Double(member) * 0.618_033_988_749_895
        cursor = min(partitions - 1, Int(saturating: (turns - turns.rounded(.down)) * Double(partitions)))
    }

    /// Whether a whole round was empty.
    var isQuiet: Bool { quiet >= partitions }

    /// Looks at every partition again before blocking.
    mutating func restart() { quiet = 0 }

    /// The next read, for a member with room for `room` entries.
    func next(room: Int) -> Read {
        let room = max(1, room)
        if isQuiet { return .wait(ring(partitions), count: max(1, room / partitions)) }
        let width = min(partitions, room)
        return .window(ring(width), count: max(1, room / width))
    }

    /// Takes the result of a read into account.
    mutating func finished(_ read: Read, entries: Int) {
        switch read {
        case .window(let window, _):
            cursor = (cursor + window.count) % partitions
            quiet = entries > 0 ? 0 : quiet + window.count
        case .wait:
            cursor = (cursor + 1) % partitions
            if entries > 0 { quiet = 0 }
        }
    }

    private func ring(_ width: Int) -> [Int] { (0..<width).map { (cursor + $0) % partitions } }
}
