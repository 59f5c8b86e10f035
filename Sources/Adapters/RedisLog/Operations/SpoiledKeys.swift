package import EventSourcing

/// A key of the log that holds something else than Reel wrote: somebody else can write the server.
package struct SpoiledKey: Sendable, Hashable, CustomStringConvertible {
    /// Its name.
    package var key: String
    /// What is wrong with it.
    package var text: String

    /// A key, and what is wrong with it.
    package init(key: String, text: String) {
        self.key = key
        self.text = text
    }

    /// The partition whose key it is; nil for keys of the whole log.
    package var partition: Int? { LogKeys.partition(of: key) }

    /// Whether one partition key's history alone depends on it.
    package var isOfOneHistory: Bool { LogKeys.isOfOneHistory(key) }

    /// Key and text on one line.
    package var description: String { "\(key): \(text)" }
}

/// The spoiled keys of a log.
package struct SpoiledKeys: Sendable {
    /// They, in the order of their names.
    package internal(set) var keys: [SpoiledKey] = []
    /// Whether the keys of every history were looked at.
    package internal(set) var isComplete = true

    /// Partitions of which no figure can be had: a key of the whole partition is spoiled.
    package var partitions: Set<Int> { Set(keys.filter { !$0.isOfOneHistory }.compactMap(\.partition)) }
}

extension RedisEventLog {
    /// Looks for keys that hold something else than Reel wrote: by their types, by what stands in those that
    /// say how far somebody is, and by whether what tells of one history agrees. What verifying a history
    /// reads besides is looked at there. Writes nothing. Blocks.
    /// - Parameter keysAtMost: of histories; more of them are not looked at.
    package func spoiledKeys(keysAtMost: Int) throws(LogFailure) -> SpoiledKeys {
        let client = client("spoiled")
        let registry = options.subscriptions ?? SubscriptionRegistry([])
        let members = registry.ordered.map { LogKeys.members($0.name) }
        var keys = [LogKeys.meta, LogKeys.halted] + members
        for partition in counted { keys += Self.keys(of: partition, registry) }
        var found = SpoiledKeys()
        found.keys = try client.overwritten(among: keys)
        found.keys += try strangePlaces(registry.indexes, client)
        var looked = 0
        try client.forEachPage(ofKeys: "reel:{p*}:[si]:*", "look for spoiled keys") {
            page throws(LogFailure) in
            guard looked < keysAtMost else { return found.isComplete = false }
            looked += page.count
            found.keys += try self.contradictions(among: page, client)
        }
        found.keys = Dictionary(found.keys.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
            .values.sorted { $0.key < $1.key }
        return found
    }

    private static func keys(of partition: Int, _ registry: SubscriptionRegistry) -> [String] {
        let ordered = registry.ordered.map(\.name)
        var keys = PartitionState.keys(partition)
        for name in registry.groups.map(\.name) + ordered {
            keys += [LogKeys.parked(partition, name), LogKeys.tries(partition, name)]
        }
        for name in ordered {
            keys += [LogKeys.parkedRetries(partition, name), LogKeys.givenUp(partition, name)]
        }
        keys += (ordered + registry.tasks).map { LogKeys.lease(partition, $0) }
        return keys + registry.indexes.map { LogKeys.index(partition, named: $0) }
    }

    /// What a key's answer has to be.
    private enum Form {
        /// Entry ids, or nothing.
        case places
        /// Entry ids, each behind its name.
        case namedPlaces
        /// `through`, `count` and `hash` of a partition's archive, or nothing.
        case archive
        /// Records of segments.
        case records

        func holds(_ reply: ReplyView, _ partition: Int) -> Bool {
            var texts: [String?] = []
            reply.forEach { texts.append($0.isNil ? nil : $0.string ?? "") }
            func isPlace(_ text: some StringProtocol) -> Bool {
                LogPosition(partition: partition, entryID: text) != nil
            }
            switch self {
            case .places: return texts.allSatisfy { $0.map(isPlace) ?? true }
            case .namedPlaces:
                return texts.indices.allSatisfy { $0.isMultiple(of: 2) || texts[$0].map(isPlace) ?? true }
            case .archive:
                guard let through = texts.first ?? nil else { return texts.allSatisfy { $0 == nil } }
                let count = texts[1].flatMap { Int($0) } ?? -1
                return isPlace(through) && count >= 0 && texts[2]?.utf8.count == 64
            case .records:
                return texts.allSatisfy { text in
                    let words = (text ?? "").split(separator: " ")
                    return words.count == 6 && isPlace(words[0]) && isPlace(words[1])
                }
            }
        }

        var text: String {
            switch self {
            case .places, .namedPlaces: "it has something else where an entry id belongs"
            case .archive: "it does not say up to where the partition was archived"
            case .records: "it has something else where a record of a segment belongs"
            }
        }
    }

    /// Keys that say how far somebody is, and what they say cannot be.
    private func strangePlaces(
        _ indexes: [String], _ client: RedisClient
    ) throws(LogFailure) -> [SpoiledKey] {
        var commands = CommandBuffer()
        var asked: [(partition: Int, key: String, form: Form)] = []
        for partition in counted {
            let archive = LogKeys.archive(partition)
            commands.command("HGETALL", LogKeys.checkpoints(partition))
            asked.append((partition, LogKeys.checkpoints(partition), .namedPlaces))
            commands.command("HMGET", archive, "through", "count", "hash")
            asked.append((partition, archive, .archive))
            commands.command("LRANGE", LogKeys.segments(partition), "0", "-1")
            asked.append((partition, LogKeys.segments(partition), .records))
            for name in indexes {
                commands.command("HMGET", LogKeys.index(partition, named: name), "")
                asked.append((partition, LogKeys.index(partition, named: name), .places))
            }
        }
        var found: [SpoiledKey] = []
        // Those of another type are found by that.
        try client.pipeline(
            "look for spoiled keys", "\(address)", commands,
            accepting: { ServerError.kind(of: $0) == .corrupt }
        ) { index, reply throws(LogFailure) in
            let (partition, key, form) = asked[index]
            guard reply.errorText == nil, !form.holds(reply, partition) else { return }
            found.append(SpoiledKey(key: key, text: form.text))
        }
        return found
    }

    /// Which of some histories' keys are of another type, or do not agree with each other.
    private func contradictions(
        among keys: [String], _ client: RedisClient
    ) throws(LogFailure) -> [SpoiledKey] {
        var pairs: [Int: Set<String>] = [:]
        for key in keys {
            guard let (partition, name) = LogKeys.history(of: key), counted.contains(partition) else {
                continue
            }
            pairs[partition, default: []].insert(name)
        }
        var commands = CommandBuffer()
        for (partition, names) in pairs.sorted(by: { $0.key < $1.key }) {
            let keys = names.sorted().flatMap { [LogKeys.index(partition, $0), LogKeys.ids(partition, $0)] }
            commands.run(.contradictions, [LogKeys.ranks(partition)] + keys, [])
        }
        var found: [SpoiledKey] = []
        try client.pipeline("look for spoiled keys", "\(address)", commands) { _, reply in
            reply.forEach { text in
                guard let words = text.string?.split(separator: " ", maxSplits: 2), words.count == 3 else {
                    return
                }
                found.append(SpoiledKey(key: String(words[1]), text: "it \(words[2])"))
            }
        }
        // What the server does not say when it refuses: what stands there instead.
        let other = found.filter { $0.text == "it \(FunctionLibrary.overwritten)" }.map(\.key)
        return found.filter { !other.contains($0.key) } + (try client.overwritten(among: other))
    }
}

extension RedisClient {
    /// Those of some keys of ours that are of another type than we write.
    func overwritten(among keys: [String]) throws(LogFailure) -> [SpoiledKey] {
        var commands = CommandBuffer()
        for key in keys { commands.command("TYPE", key) }
        var found: [SpoiledKey] = []
        try pipeline("look for spoiled keys", "\(address)", commands) { index, reply in
            guard let type = reply.string, type != "none", let expected = LogKeys.type(of: keys[index]),
                type != expected.rawValue
            else { return }
            let words = LogKeys.ValueType(rawValue: type)?.words ?? "something else (\(type))"
            found.append(
                SpoiledKey(
                    key: keys[index],
                    text: "it is \(words) where \(expected.words) belongs: somebody has overwritten it"))
        }
        return found
    }
}

extension CommandBuffer {
    /// The keys of ours among the arguments of all commands, each once, as far as a failure has to name one.
    var ownKeys: [String] {
        let most = 1_000
        var keys: [String] = []
        var known: Set<String> = []
        var rest = bytes[...]
        // The wire format as it was written here: counts in lines, and arguments behind theirs.
        while let lineEnd = rest.firstIndex(of: 0x0D), keys.count < most {
            let line = rest[rest.startIndex..<lineEnd]
            rest = rest[(lineEnd + 2)...]
            guard line.first == 0x24, let length = Int(String(decoding: line.dropFirst(), as: UTF8.self)),
                length + 2 <= rest.count
            else { continue }
            let key = String(decoding: rest.prefix(length), as: UTF8.self)
            rest = rest.dropFirst(length + 2)
            if LogKeys.type(of: key) != nil, known.insert(key).inserted { keys.append(key) }
        }
        return keys
    }
}
