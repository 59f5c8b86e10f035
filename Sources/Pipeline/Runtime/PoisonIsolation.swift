internal import EventSourcing
internal import Supervision

/// Work that can leave a partition key out and take it up again later.
protocol IsolatingWork: PartitionWork {
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
/// Such an event is tried a bounded number of times, with growing pauses, and then set aside. From there
/// on its session waits: its later events are passed over, and are read again from the log, in order, once
/// somebody asked for another try and it succeeded. Everybody else goes on. What is held back stands
/// beside the log, so that it outlives owners and restarts; it is written before the checkpoint can
/// pass the event.
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
            // Two of one session are what a retry leaves that went as far as the second and was cut off.
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
            for cause in poisoned.causes.values { try take(cause, among: events) }
            throw poisoned
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
    /// halts for a moment in any case, and is read again from its checkpoint.
    private func take(_ cause: any Error, among events: [RecordedEvent]) throws {
        guard work.canResume, let failure = cause as? any EventFailure, let position = failure.position,
            (cause as? any TransientFailure)?.isTransient != true
        else { return }
        let attempts = try opened().parking.countTry(name, of: position)
        guard attempts >= policy.maximumTries else { return }
        guard let event = try events.first(where: { $0.position == position }) ?? read(position) else {
            return
        }
        try park(event, cause, attempts: attempts)
    }

    private func read(_ position: LogPosition) throws -> RecordedEvent? {
        var before = position
        if position.counter > 0 {
            before.counter -= 1
        } else {
            before.milliseconds -= 1
            before.counter = .max
        }
        return try opened().store.read(after: before, limit: 1).first { $0.position == position }
    }

    private func park(_ event: RecordedEvent, _ cause: any Error, attempts: Int) throws {
        let reason = ParkedReason(
            stage: name, errors: ["\(event.type) \(event.id) cannot be handled", "\(cause)"],
            attempts: attempts, time: clock.now())
        let partition = event.position.partition
        try opened().parking.park(name, event, reason, under: fences[partition])
        held[partition, default: [:]][event.partitionKey] = Held(
            position: event.position, sequence: event.sequence)
        report(
            .error,
            "\(name): session \(event.partitionKey) waits at \(event.position), parked after \(attempts) "
                + "tries: \(cause)")
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
            for (key, poison) in keys.sorted(by: { $0.value.position < $1.value.position }) {
                if found.givenUp.contains(key) {
                    // Given up, even if it is still shown as parked: nobody waits for it any more.
                    for other in found.keys where other.partitionKey == key && other.isRetryAsked {
                        try opened().parking.release(name, other.position, under: fences[partition])
                    }
                    forget(key, in: partition)
                    report(.info, "\(name): session \(key) was given up and is passed over")
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

    /// Reads a session from the event that failed on, and handles it in order.
    private func resume(_ key: String, _ poison: Held, in partition: Int) throws {
        // What is held back of other sessions must not be forgotten with this one when it fails again.
        try work.flush()
        let store = try opened().store
        var last = poison.sequence - 1
        while true {
            let page = try store.load(key, after: last, limit: batchSize)
            guard let end = page.last else { break }
            do { try work.resume(page) } catch let failure as any EventFailure
                where (failure as? any TransientFailure)?.isTransient != true
            {
                return try stop(key, at: failure, among: page, poison)
            }
            last = end.sequence
        }
        try release(key, before: nil, in: partition)
        forget(key, in: partition)
        report(.info, "\(name): session \(key) goes on after \(poison.position)")
    }

    /// A session that was taken up again waits again, at the same event or at a later one.
    private func stop(
        _ key: String, at failure: any EventFailure, among page: [RecordedEvent], _ poison: Held
    ) throws {
        let position = failure.position ?? poison.position
        guard let event = try page.first(where: { $0.position == position }) ?? read(position) else {
            throw failure
        }
        // Those before it are not held back by it, and nobody would bring them again.
        let before = page.filter { $0.position < position }
        if !before.isEmpty { try work.resume(before) }
        try park(event, failure, attempts: 1)
        try release(key, before: position, in: poison.position.partition)
    }

    /// Ends whatever holds a session back before a position; an owner that died in a retry may have left
    /// more than one such place.
    private func release(_ key: String, before end: LogPosition?, in partition: Int) throws {
        let parking = try opened().parking
        for place in try parking.heldBack(name, in: partition).keys where place.partitionKey == key {
            if let end, place.position >= end { continue }
            try parking.release(name, place.position, under: fences[partition])
        }
    }
}
