/// A read of several streams, as one command or, where keys of different slots may not stand in one, as
/// a command for each stream. Either way each stream that has entries stands in one reply as `[key,
/// entries]`.
struct StreamRead {
    /// `XREAD`, or `XREADGROUP GROUP name member`.
    let words: [String]
    /// At most this many entries from each stream.
    let count: Int
    /// Milliseconds to wait when nothing is there; nil for not at all. Only several streams in one
    /// command can be waited for: otherwise the caller asks again (`PollPause`).
    let wait: Int?

    /// Puts the commands behind those in `commands`.
    /// - Parameter streams: partition and the entry id to read after.
    func encode(_ streams: [(Int, String)], together: Bool, into commands: inout CommandBuffer) {
        if together {
            encode(streams[...], wait, into: &commands)
        } else {
            for index in streams.indices { encode(streams[index...index], nil, into: &commands) }
        }
    }

    private func encode(
        _ streams: ArraySlice<(Int, String)>, _ wait: Int?, into commands: inout CommandBuffer
    ) {
        commands.begin(words.count + 3 + (wait == nil ? 0 : 2) + 2 * streams.count)
        for word in words { commands.add(word) }
        commands.add("COUNT")
        commands.add(count)
        if let wait {
            commands.add("BLOCK")
            commands.add(wait)
        }
        commands.add("STREAMS")
        for (partition, _) in streams { commands.add(LogKeys.log(partition)) }
        for (_, id) in streams { commands.add(id) }
    }
}

/// Pauses between looks at streams that cannot be waited for together: short after something came, then
/// longer, up to a bound that keeps the looks of an idle reader cheap: some 5,000 commands a second.
struct PollPause {
    private let deadline: Int
    private let longest: Int
    private var next = 1

    init(waitMilliseconds: Int, streams: Int) {
        deadline = monotonicMilliseconds() + waitMilliseconds
        longest = min(max(streams / 5, 5), 100)
    }

    /// Waits a little; false when the time is over.
    mutating func again() -> Bool {
        let left = deadline - monotonicMilliseconds()
        guard left > 0 else { return false }
        pause(milliseconds: min(next, left))
        next = min(next * 2, longest)
        return true
    }
}
