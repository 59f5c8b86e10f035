internal import EventSourcing

/// Appends of one partition that leave in one server-side call.
///
/// A call has costs of its own (its arguments, its answer, its transaction in the append-only file), and so
/// has each history that it touches; appends that leave together share both.
struct AppendCall {
    /// Events in one call, unless a single append has more: the server does nothing else meanwhile.
    private static let eventsPerCall = 64
    /// Bytes of payload in one call, unless a single append has more.
    private static let bytesPerCall = 256 << 10

    let partition: Int
    let fence: Fence?
    /// Which of the batches, in their order.
    private(set) var batches: [Int] = []
    private var events = 0
    private var bytes = 0

    private init(partition: Int, fence: Fence?) {
        self.partition = partition
        self.fence = fence
    }

    /// Puts batches into calls. Those of one partition keep their order.
    static func group(_ indexes: [Int], _ batches: [AppendBatch], _ partitioning: Partitioning)
        -> [AppendCall]
    {
        var calls: [AppendCall] = []
        var open: [Int: Int] = [:]
        for index in indexes {
            let batch = batches[index]
            let partition = partitioning.partition(of: batch.partitionKey)
            let bytes = batch.events.reduce(0) { $0 + $1.data.count }
            if let place = open[partition],
                calls[place].takes(batch.events.count, bytes, batch.fence)
            {
                calls[place].add(index, batch.events.count, bytes)
                continue
            }
            open[partition] = calls.count
            calls.append(AppendCall(partition: partition, fence: batch.fence))
            calls[calls.count - 1].add(index, batch.events.count, bytes)
        }
        return calls
    }

    private func takes(_ events: Int, _ bytes: Int, _ fence: Fence?) -> Bool {
        self.events + events <= Self.eventsPerCall && self.bytes + bytes <= Self.bytesPerCall
            && self.fence == fence
    }

    private mutating func add(_ index: Int, _ events: Int, _ bytes: Int) {
        batches.append(index)
        self.events += events
        self.bytes += bytes
    }

    /// Writes the call.
    /// - Parameters:
    ///   - epoch: the log's.
    ///   - looked: for a batch that was looked up in the archive, the counter that the look was based on; the
    ///     key's history, if it has one there, was brought back.
    func encode(
        _ all: [AppendBatch], epoch: String, looked: (Int) -> Int?, into commands: inout CommandBuffer
    ) {
        let keys = 2 + 2 * batches.count + (fence == nil ? 0 : 1)
        let arguments = 1 + 3 * batches.count + EntryCoding.argumentsPerEvent * events
        commands.begin(3 + keys + arguments + (fence == nil ? 0 : 2))
        commands.beginCall("reel_append_all", keys: keys)
        commands.add(LogKeys.log(partition))
        commands.add(LogKeys.ranks(partition))
        for index in batches {
            commands.add(LogKeys.index(partition, all[index].partitionKey))
            commands.add(LogKeys.ids(partition, all[index].partitionKey))
        }
        if let fence { commands.add(LogKeys.lease(partition, fence.subscription)) }
        commands.add("\(batches.count)/\(epoch)")
        for index in batches {
            let batch = all[index]
            let expected = batch.expected.argument
            commands.add(looked(index).map { "\(expected)/\($0)" } ?? expected)
            commands.add(batch.partitionKey)
            commands.add(batch.events.count)
            for event in batch.events { EntryCoding.encode(event, into: &commands) }
        }
        if let fence {
            commands.add(fence.owner)
            commands.add(String(fence.generation))
        }
    }
}

extension ExpectedVersion {
    fileprivate var argument: String {
        switch self {
        case .any: "*"
        case .absent: "0"
        case .exactly(let version): String(version)
        }
    }
}
