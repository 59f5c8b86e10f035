internal import Base
internal import EventSourcing
internal import Supervision

/// Work that can leave a partition key out and take it up again later.
protocol IsolatingWork: AnyObject {
    /// Name of the subscription.
    var name: String { get }
    /// Events that are read at once from each partition.
    var batchSize: Int { get }
    /// As in `PartitionWork`.
    func begin(_ fences: [Fence], forgetting: Set<Int>?) throws -> [Int: LogPosition]
    /// As in `PartitionWork`.
    func handle(_ events: [RecordedEvent]) throws
    /// Those among the events that it can't understand, whatever it handled before them.
    func malformed(among events: [RecordedEvent]) -> [any EventFailure]
    /// As in `PartitionWork`.
    func flush() throws
    /// Whether `resume` is possible.
    var canResume: Bool { get }
    /// Nothing more is to be done up to these positions: what stood there was held back, or passed over.
    func pass(_ ends: [LogPosition]) throws
    /// Handles events of one partition key that were held back, in order, without moving checkpoints. Some
    /// may have been handled before, and some may come once more.
    func resume(_ events: [RecordedEvent]) throws
}

/// Keeps an event that can't be handled from holding up its partition.
///
/// Such an event is tried a bounded number of times, with growing pauses, and then set aside; one that can't
/// be understood is set aside at once, and with it all others in hand that can't be. From there on its
/// history waits: its later events are passed over, and are read again from the log, in order, once somebody
/// asked for another try and it succeeded. Everybody else goes on. What is held back stands beside the log,
/// so that it outlives owners and restarts; it is written before the checkpoint can pass the event.
final class PoisonIsolation: PartitionWork {
    /// How often owners look whether a retry is asked for, while something is held back.
    private static let lookMilliseconds = 500

    private struct Held {
        var position: LogPosition
        var sequence: UInt64
    }

    private let work: any IsolatingWork
    private let log: any EventLog
    private let policy: RetryPolicy
    private let clock: any WallClock
    private let report: RoleLog

    private var parking: (any OrderedParking)?
    private var store: (any EventStore)?
    private var fences: [Int: Fence] = [:]
    private var held: [Int: [String: Held]] = [:]
    private var givenUp: [Int: Set<String>] = [:]
    private var nextLook = Machine.now
    /// Up to where each partition was handled, or passed over.
    private var reached: [Int: LogPosition] = [:]

    var name: String { work.name }
    var batchSize: Int { work.batchSize }

    init(
        _ work: any IsolatingWork, log: any EventLog, policy: RetryPolicy, clock: any WallClock,
        report: RoleLog
    ) {
        self.work = work
        self.log = log
        self.policy = policy
        self.clock = clock
        self.report = report
    }

    func begin(_ fences: [Fence], forgetting: Set<Int>?) throws -> [Int: LogPosition] {
        self.fences = Dictionary(fences.map { ($0.partition, $0) }, uniquingKeysWith: { $1 })
        held = [:]
        givenUp = [:]
        let parking = try opened().parking
        for fence in fences {
            let found = try parking.heldBack(name, in: fence.partition)
            // Two of one history are what a retry leaves that went as far as the second and was cut off.
            for key in found.keys.sorted(by: { $0.position > $1.position }) {
                held[fence.partition, default: [:]][key.partitionKey] = Held(
                    position: key.position, sequence: key.sequence)
            }
            if !found.givenUp.isEmpty { givenUp[fence.partition] = found.givenUp }
        }
        nextLook = Machine.now
        reached = [:]
        let saved = try work.begin(fences, forgetting: forgetting)
        reached = saved
        return saved
    }

    func handle(_ events: [RecordedEvent]) throws {
        try lookForRetries()
        let admitted = held.isEmpty && givenUp.isEmpty ? events : events.filter(isAdmitted)
        do {
            try work.handle(admitted)
            let ends = ends(of: events)
            if admitted.count < events.count { try work.pass(ends) }
            for end in ends { reached[end.partition] = end }
        } catch let poisoned as PoisonedPartitions {
            var rest = poisoned
            for (partition, cause) in poisoned.causes where try take(cause, among: events) {
                rest.setAside.insert(partition)
            }
            // Where one event is beyond understanding many may be; one by one, each would cost a batch.
            if work.canResume, poisoned.causes.values.contains(where: Self.isFinal) {
                try setAsideMalformed(among: events)
            }
            throw rest
        }
    }

    private static func isFinal(_ cause: any Error) -> Bool { (cause as? any EventFailure)?.isFinal == true }

    private func setAsideMalformed(among events: [RecordedEvent]) throws {
        let known = Dictionary(events.map { ($0.position, $0) }, uniquingKeysWith: { $1 })
        for failure in work.malformed(among: events.filter(isAdmitted)) {
            guard let event = failure.position.flatMap({ known[$0] }), isAdmitted(event) else { continue }
            try park(event, failure, attempts: 1)
        }
    }

    func flush() throws { try work.flush() }

    private func opened() throws -> (parking: any OrderedParking, store: any EventStore) {
        let parking = try parking ?? log.orderedParking()
        let store = try store ?? log.open()
        (self.parking, self.store) = (parking, store)
        return (parking, store)
    }

    private func isAdmitted(_ event: RecordedEvent) -> Bool {
        let partition = event.position.partition
        if let poison = held[partition]?[event.partitionKey], event.position >= poison.position {
            return false
        }
        return givenUp[partition]?.contains(event.partitionKey) != true
    }

    private func ends(of events: [RecordedEvent]) -> [LogPosition] {
        var last: [Int: LogPosition] = [:]
        for event in events { last[event.position.partition] = event.position }
        return Array(last.values)
    }

    // MARK: - Setting aside

    /// Counts a failure that one event causes, and sets the event aside after the last try. The partition
    /// is read again from its checkpoint in any case.
    /// - Returns: whether the event was set aside.
    private func take(_ cause: any Error, among events: [RecordedEvent]) throws -> Bool {
        guard work.canResume, let failure = cause as? any EventFailure, let position = failure.position,
            !cause.mayEnd
        else { return false }
        let attempts = failure.isFinal ? 1 : try opened().parking.countTry(name, of: position)
        guard failure.isFinal || attempts >= policy.maximumTries,
            let event = try events.first(where: { $0.position == position })
                ?? opened().store.event(at: position)
        else { return false }
        try park(event, cause, attempts: attempts)
        return true
    }

    private func park(_ event: RecordedEvent, _ cause: any Error, attempts: Int) throws {
        let reason = ParkedReason(
            stage: name, errors: ["\(event.type) \(event.id) cannot be handled", "\(cause)"],
            attempts: attempts, time: clock.now())
        let partition = event.position.partition
        try opened().parking.park(name, event, reason, under: fences[partition])
        hold(event.partitionKey, Held(position: event.position, sequence: event.sequence))
        report(
            .error,
            "\(name): history \(event.partitionKey) waits at \(event.position), parked after \(attempts) "
                + "tries: \(cause)")
    }

    /// An entry that cannot be read is not tried: it would be the same every time. Its history is held, and
    /// nobody when it does not say whose it is.
    func setAside(_ position: LogPosition, _ failure: LogFailure) throws {
        let partition = position.partition
        guard work.canResume else { throw PoisonedPartitions(causes: [partition: failure]) }
        let key = try opened().parking.identify(position)
        let isWaiting = held[partition]?[key.partitionKey].map { $0.position <= position } ?? false
        if !isWaiting, givenUp[partition]?.contains(key.partitionKey) != true {
            try parkUnreadable(key, failure)
        }
        try work.pass([position])
        reached[partition] = position
    }

    private func parkUnreadable(_ key: HeldKey, _ failure: LogFailure) throws {
        let partition = key.position.partition
        let reason = ParkedReason(
            stage: name, errors: ["the entry does not follow the log's format", failure.text], attempts: 1,
            time: clock.now())
        try opened().parking.parkUnreadable(name, key, reason, under: fences[partition])
        hold(key.partitionKey, Held(position: key.position, sequence: key.sequence))
        let whose = key.isNameless ? "nobody waits, for it does not say whose it is" : "history waits"
        report(.error, "\(name): \(key.partitionKey) parked, \(whose): \(failure)")
    }

    /// What stands at a place is parked there under one key, its own name or that of its history.
    private func hold(_ key: String, _ poison: Held) {
        let partition = poison.position.partition
        for (other, place) in held[partition] ?? [:] where place.position == poison.position {
            forget(other, in: partition)
        }
        held[partition, default: [:]][key] = poison
    }

    // MARK: - Going on

    private func lookForRetries() throws {
        guard !held.isEmpty, Machine.now >= nextLook else { return }
        nextLook = Machine.now + .milliseconds(Self.lookMilliseconds)
        for (partition, keys) in held.sorted(by: { $0.key < $1.key }) {
            let found = try opened().parking.heldBack(name, in: partition)
            if !found.givenUp.isEmpty { givenUp[partition] = found.givenUp }
            let known = Dictionary(
                found.keys.map { ($0.partitionKey, $0) },
                uniquingKeysWith: { $0.position < $1.position ? $0 : $1 })
            for (key, poison) in keys.sorted(by: { $0.value.position < $1.value.position })
            where held[partition]?[key]?.position == poison.position {
                if found.givenUp.contains(key) {
                    // Given up, even if it is still shown as parked: nobody waits for it any more.
                    for other in found.keys where other.partitionKey == key && other.isRetryAsked {
                        try opened().parking.release(name, other.position, under: fences[partition])
                    }
                    forget(key, in: partition)
                    report(.info, "\(name): history \(key) was given up and is passed over")
                } else if (reached[partition] ?? .start(of: partition)) < poison.position {
                    // What stands before the event is still to be handled, and comes first.
                    continue
                } else if known[key]?.isRetryAsked ?? true {
                    // One that is not parked any more was released by an owner that may have died since.
                    try resume(key, poison, in: partition)
                }
            }
        }
    }

    private func forget(_ key: String, in partition: Int) {
        held[partition]?[key] = nil
        if held[partition]?.isEmpty == true { held[partition] = nil }
    }

    /// Whose events are to be handled again, and from which one on; nil when there is nothing to do.
    private func beginning(
        _ key: String, _ poison: Held
    ) throws -> (history: String, sequence: UInt64)? {
        guard poison.sequence == 0 || key == HeldKey.name(of: poison.position) else {
            return (key, poison.sequence)
        }
        // It could not be read when it was set aside; now it shows whose it is.
        guard let event = try opened().store.event(at: poison.position) else { return nil }
        // A history that waits elsewhere goes on with its own retry.
        let history = event.partitionKey
        if history != key, held[poison.position.partition]?[history] != nil { return nil }
        return (history, event.sequence)
    }

    /// The next events of a history: one by one from where a page would hold what cannot be read, so that
    /// what stands before it is handled.
    private func page(
        of history: String, after last: UInt64, limit: inout Int
    ) throws -> [RecordedEvent] {
        let store = try opened().store
        do throws(LogFailure) { return try store.load(history, after: last, limit: limit) } catch {
            guard error.kind == .unreadable, limit > 1 else { throw error }
            limit = 1
            return try store.load(history, after: last, limit: limit)
        }
    }

    /// Reads a history from the event that failed on, and handles it in order.
    private func resume(_ key: String, _ poison: Held, in partition: Int) throws {
        // What is held back of other histories must not be forgotten with this one when it fails again.
        try work.flush()
        var history = key
        do {
            if let start = try beginning(key, poison) {
                history = start.history
                var (last, limit) = (start.sequence -| 1, batchSize)
                while true {
                    let page = try page(of: history, after: last, limit: &limit)
                    guard let end = page.last else { break }
                    do { try work.resume(page) } catch let failure as any EventFailure
                        where !failure.mayEnd
                    {
                        return try stop(key, at: failure, among: page, poison)
                    }
                    last = end.sequence
                }
            }
        } catch let failure as LogFailure where failure.kind == .unreadable {
            return try stop(key, of: history, at: failure, poison)
        }
        try release(key, before: nil, in: partition)
        forget(key, in: partition)
        report(.info, "\(name): history \(history) goes on after \(poison.position)")
    }

    /// A history that was taken up again waits at an entry that cannot be read: still the same one, or a
    /// later one.
    private func stop(_ key: String, of history: String, at failure: LogFailure, _ poison: Held) throws {
        let position = failure.unreadableEntry ?? poison.position
        var found = try opened().parking.identify(position)
        // Its history led there, whatever the entry itself says.
        if history != HeldKey.name(of: poison.position) { found.partitionKey = history }
        try parkUnreadable(found, failure)
        try release(key, before: position, in: position.partition)
        if found.partitionKey != key { forget(key, in: position.partition) }
    }

    /// A history that was taken up again waits again, at the same event or at a later one.
    private func stop(
        _ key: String, at failure: any EventFailure, among page: [RecordedEvent], _ poison: Held
    ) throws {
        let position = failure.position ?? poison.position
        guard
            let event = try page.first(where: { $0.position == position })
                ?? opened().store.event(at: position)
        else {
            throw failure
        }
        // Those before it are not held back by it, and nobody would bring them again.
        let before = page.filter { $0.position < position }
        if !before.isEmpty { try work.resume(before) }
        try park(event, failure, attempts: 1)
        try release(key, before: position, in: position.partition)
        if event.partitionKey != key { forget(key, in: position.partition) }
    }

    /// Ends whatever holds a history back before a position; an owner that died in a retry may have left
    /// more than one such place.
    private func release(_ key: String, before end: LogPosition?, in partition: Int) throws {
        let parking = try opened().parking
        for place in try parking.heldBack(name, in: partition).keys where place.partitionKey == key {
            if let end, place.position >= end { continue }
            try parking.release(name, place.position, under: fences[partition])
        }
    }
}
