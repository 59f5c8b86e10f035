import Operations
import Base
import RedisLog
import Console
import EventSourcing
import Supervision

/// `reel events`: what stands in the log.
enum EventsCommand: Command {
    static let follow = Flag("follow", short: "f", help: "Go on with events as they are appended")
    static let type = Setting(
        "type", "TYPE", .text(upTo: 100), isRepeatable: true, help: "Only events of this type")
    static let limit = Setting(
        "limit", "N", .integer(1...1_000_000_000), defaultNote: "all", help: "End after this many events")

    static let declaration = CommandDeclaration(
        "events", summary: "Print the events of a session, or of the whole log",
        details: "With --json every line is one event in the JSON form of CloudEvents 1.0. Events of one "
            + "session come in the order of their sequence; those of several sessions by the time of their "
            + "append. An entry that cannot be read is named on stderr, and what stands behind it follows; "
            + "so is a partition that lacks events, and what is missing in the histories there.",
        positionals: [
            Positional(
                "SESSION", .identifier, isRequired: false, help: "Id of the session; without it all events")
        ],
        options: [follow.declaration, type.declaration, limit.declaration, Common.json.declaration]
            + Common.places,
        examples: [
            "reel events sess-01JD2Y0Q6W8R9T3V5X7Z1B4C6D", "reel events --follow --json",
            "reel events --type KeyExported --json",
        ],
        statuses: [
            "1  there is no such session; without --follow also: an entry could not be read, or "
                + "a partition lacks events, and was named",
            Common.usageStatus, Common.dependencyStatus,
        ])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let system = try RunningSystem(settings)
        let stop = StopSignal()
        try SignalWatcher.start(stop)
        let store = try system.log.open()
        let printer = EventPrinter(settings)
        var positions: [LogPosition]
        if let session = settings.positional(0) {
            guard try store.version(of: session) > 0 else {
                throw CommandFailure(.no, "there is no session \(session)")
            }
            let partition = store.partitioning.partition(of: session)
            try printer.nameLosses(of: system.log, among: [partition])
            // Read before the history: what comes in between is delivered twice, and printed once.
            positions = [try store.end(of: partition)]
            printer.session = session
            var last: UInt64 = 0
            while !stop.isSet, !printer.isFull {
                let page = try store.entries(of: session, after: last, limit: 500).entries
                for entry in page { try printer.take(entry) }
                guard let end = page.last else { break }
                last = end.sequence
            }
        } else {
            try printer.nameLosses(of: system.log, among: Set(0..<store.partitioning.count))
            var merge = LogMerge(store)
            while !stop.isSet, !printer.isFull, let entry = try merge.next() { try printer.take(entry) }
            positions = merge.positions
        }
        guard settings[follow] else { return printer.holes == 0 ? .success : .no }
        try goOn(system, store, after: positions, printer, stop)
        return .success
    }

    /// Prints what is appended until `stop` is set, waiting while the log is away.
    private static func goOn(
        _ system: RunningSystem, _ store: any EventStore, after positions: [LogPosition],
        _ printer: EventPrinter, _ stop: StopSignal
    ) throws {
        let feed = try system.log.follow(after: positions)
        let followed = Set(positions.map(\.partition))
        for halt in try system.log.halts().list() where followed.contains(halt.partition) {
            Output.error("reel events: nothing follows of partition \(halt.partition) while it is halted")
        }
        var isAway = false
        while !stop.isSet, !printer.isFull, !Output.isClosed {
            var events: [RecordedEvent] = []
            do throws(LogFailure) {
                events = try feed.next(limit: 500, waitMilliseconds: 500)
                isAway = false
            } catch {
                if let position = error.unreadableEntry {
                    try printer.take(
                        UnreadableHole(position: position, sequence: 0, text: error.text), from: store)
                    feed.seek(to: position)
                    continue
                }
                guard error.mayEnd, error.kind != .lostHistory else { throw error }
                if !isAway { Output.error("reel events: waiting for the log: \(error.text)") }
                isAway = true
                stop.wait(milliseconds: 500)
            }
            for event in events { try printer.take(.event(event)) }
        }
    }
}

/// Prints events, one a line. One thread.
private final class EventPrinter {
    /// Nil for all sessions.
    var session: String?
    private let asJSON: Bool
    private let types: Set<String>
    private let columns: Int?
    private var left: Int
    /// Entries that could not be read.
    private(set) var holes = 0
    /// Partitions from which events are gone; last sequences of the histories there.
    private var lacking: Set<Int> = []
    private var sequences: [String: UInt64] = [:]
    private var lastSequence: UInt64 = 0
    private var writer = JSONWriter(reserving: 1024)

    init(_ settings: Settings) {
        asJSON = settings[Common.json]
        types = Set(settings.all(EventsCommand.type))
        left = settings[EventsCommand.limit] ?? .max
        columns = Terminal.columns(of: .output)
    }

    /// Names partitions that lack events. In those, and where a loss was accepted, histories are counted.
    func nameLosses(of log: RedisEventLog, among partitions: Set<Int>) throws {
        let condition = try log.survey()
        for halt in condition.halted where partitions.contains(halt.partition) {
            lacking.insert(halt.partition)
            holes += 1
            Output.error("reel events: partition \(halt.partition) is halted: \(halt.reason)")
        }
        for found in condition.unarchived where found.lost > 0 && partitions.contains(found.partition) {
            lacking.insert(found.partition)
        }
    }

    /// Names what a history lacks before an event.
    private func count(_ event: RecordedEvent) {
        let last = sequences.updateValue(event.sequence, forKey: event.partitionKey) ?? 0
        guard event.sequence > last + 1 else { return }
        holes += 1
        Output.error(
            "reel events: \(event.partitionKey) lacks sequences \(last + 1) to \(event.sequence - 1)")
    }

    var isFull: Bool { left == 0 }

    func take(_ entry: LogEntry) throws {
        switch entry {
        case .event(let event): try take(event)
        case .unreadable(let hole):
            guard session == nil || hole.sequence > lastSequence else { return }
            lastSequence = hole.sequence
            name(hole)
        }
    }

    /// Takes one that was met in a partition. Of one session, its history says whether it belongs to it.
    func take(_ hole: UnreadableHole, from store: any EventStore) throws {
        guard let session else { return name(hole) }
        try store.forEachEntry(of: session, after: lastSequence) { try take($0) }
    }

    private func name(_ hole: UnreadableHole) {
        holes += 1
        Output.error("reel events: \(hole)")
    }

    private func take(_ event: RecordedEvent) throws {
        if let session {
            guard event.partitionKey == session, event.sequence > lastSequence else { return }
            lastSequence = event.sequence
        } else if lacking.contains(event.position.partition) {
            count(event)
        }
        guard left > 0, types.isEmpty || types.contains(event.type) else { return }
        left -= 1
        if asJSON {
            writer.removeAll()
            event.encodeCloudEvent(into: &writer)
            return try Output.line(writer)
        }
        let type = event.type.padding(to: 20)
        let number = String(event.sequence).padding(to: 5)
        let text = "\(event.time.rfc3339)  \(number) \(type) \(event.subject)  \(Self.essence(event.data))"
        let line = Table.printable(text)
        if let columns, line.count > columns { return try Output.line(line.prefix(columns - 1) + "…") }
        try Output.line(line)
    }

    /// The payload's members on one line, without those that the line has already.
    private static func essence(_ data: [UInt8]) -> String {
        guard let members = (try? JSONValue(parsing: data))?.members else { return "" }
        let known: Set<String> = ["session_id", "chunk_id"]
        return members.compactMap { member -> String? in
            guard !known.contains(member.name) else { return nil }
            switch member.value {
            case .string(let text): return "\(member.name)=\(text)"
            case .integer(let number): return "\(member.name)=\(number)"
            case .number(let number): return "\(member.name)=\(number)"
            case .bool(let flag): return "\(member.name)=\(flag)"
            case .array(let items):
                let texts = items.compactMap(\.string)
                return texts.isEmpty ? nil : "\(member.name)=\(texts.joined(separator: ": "))"
            case .null, .object: return nil
            }
        }.joined(separator: " ")
    }
}

extension String {
    /// With spaces behind, up to a width.
    func padding(to width: Int) -> String {
        count < width ? self + String(repeating: " ", count: width - count) : self
    }
}
