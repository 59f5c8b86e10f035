internal import EventSourcing

/// An index as one hash per partition beside its log.
final class RedisLogIndex: LogIndex {
    /// Entries of one page.
    private static let page = 1000
    /// Changes of one call: the server does nothing else meanwhile.
    private static let changesPerCall = 500
    /// Under which the place stands: no key is empty.
    private static let placeField = ""

    private let name: String
    private let client: RedisClient
    private let partitions: [Int]

    init(_ name: String, _ client: RedisClient, _ partitions: [Int]) {
        self.name = name
        self.client = client
        self.partitions = partitions
    }

    func places() throws(LogFailure) -> [Int: LogPosition] {
        var commands = CommandBuffer()
        for partition in partitions {
            commands.command("HGET", LogKeys.index(partition, named: name), Self.placeField)
        }
        var places: [Int: LogPosition] = [:]
        try client.pipeline("load index places", name, commands) { index, reply throws(LogFailure) in
            guard !reply.isNil else { return }
            let partition = self.partitions[index]
            places[partition] = try EntryCoding.position(
                reply, partition: partition, operation: "load index places",
                key: LogKeys.index(partition, named: self.name))
        }
        return places
    }

    func write(
        _ changes: [(key: String, value: [UInt8]?)], upTo place: LogPosition, under fence: Fence?
    ) throws(LogFailure) {
        var rest = Dictionary(changes.map { ($0.key, $0.value) }, uniquingKeysWith: { $1 })
            .sorted { $0.key < $1.key }[...]
        repeat {
            let part = rest.prefix(Self.changesPerCall)
            rest = rest.dropFirst(part.count)
            // The place moves with the last part: what was written before it is written again if need be.
            try write(part, upTo: rest.isEmpty ? place : nil, partition: place.partition, under: fence)
        } while !rest.isEmpty
    }

    private func write(
        _ changes: ArraySlice<(key: String, value: [UInt8]?)>, upTo place: LogPosition?, partition: Int,
        under fence: Fence?
    ) throws(LogFailure) {
        let taken = changes.filter { $0.value == nil }
        let set = changes.count - taken.count
        var commands = CommandBuffer()
        commands.begin(3 + (fence == nil ? 1 : 2) + 4 + 2 * set + taken.count)
        commands.add("FCALL" as StaticString)
        commands.add("reel_index" as StaticString)
        commands.add(fence == nil ? 1 : 2)
        commands.add(LogKeys.index(partition, named: name))
        if let fence { commands.add(LogKeys.lease(partition, fence.subscription)) }
        commands.add(fence?.owner ?? "")
        commands.add(fence.map { String($0.generation) } ?? "")
        commands.add(place?.entryID ?? "")
        commands.add(set)
        for (key, value) in changes {
            guard let value else { continue }
            commands.add(key)
            commands.add(value)
        }
        for (key, _) in taken { commands.add(key) }
        let target = "\(name) \(LogPosition.partitionName(partition))"
        try client.pipeline("write index", target, commands) { _, reply throws(LogFailure) in
            guard reply.isArray, reply[0]?.integer == 0 else { return }
            throw .fenced("write index", target, generation: UInt64(reply[1]?.integer ?? 0))
        }
    }

    func values(_ keys: [String], in partition: Int) throws(LogFailure) -> [String: [UInt8]] {
        let hash = LogKeys.index(partition, named: name)
        var values: [String: [UInt8]] = [:]
        var rest = keys[...]
        while !rest.isEmpty {
            let part = Array(rest.prefix(Self.page))
            rest = rest.dropFirst(part.count)
            var commands = CommandBuffer()
            commands.begin(2 + part.count)
            commands.add("HMGET" as StaticString)
            commands.add(hash)
            for key in part { commands.add(key) }
            try client.pipeline("read index", hash, commands) { _, reply in
                for (place, key) in part.enumerated() { values[key] = reply[place]?.bytes }
            }
        }
        return values
    }

    func scan(
        _ partition: Int, _ body: (_ page: [(key: String, value: [UInt8])]) -> Void
    ) throws(LogFailure) -> LogPosition? {
        let hash = LogKeys.index(partition, named: name)
        // Read before the values: whatever changes while they are read stands behind it.
        let reply = try client.command("load index", hash, ["HGET", hash, Self.placeField])
        guard let text = reply.text else { return nil }
        guard let place = LogPosition(partition: partition, entryID: text) else {
            throw LogFailure(
                .corrupt, operation: "load index", key: hash,
                text: "it has something else where an entry id belongs")
        }
        var cursor = "0"
        repeat {
            var commands = CommandBuffer()
            commands.command("HSCAN", hash, cursor, "COUNT", String(Self.page))
            var page: [(key: String, value: [UInt8])] = []
            try client.pipeline("load index", hash, commands) { _, reply in
                cursor = reply[0]?.string ?? "0"
                guard let pairs = reply[1] else { return }
                page.reserveCapacity(pairs.count / 2)
                for index in stride(from: 0, to: pairs.count - 1, by: 2) {
                    guard let key = pairs[index]?.string, let value = pairs[index + 1]?.bytes,
                        key != Self.placeField
                    else { continue }
                    page.append((key, value))
                }
            }
            if !page.isEmpty { body(page) }
        } while cursor != "0"
        return place
    }

    func clear(_ partition: Int) throws(LogFailure) {
        let hash = LogKeys.index(partition, named: name)
        _ = try client.command("clear index", hash, ["UNLINK", hash])
    }
}
