internal import Pipeline
internal import Engine
internal import Base
package import EventSourcing
internal import Supervision

/// How throughput grows with the number of workers when the work is waiting (for a disk, a key server, a
/// network): competing workers on one stage, each with connections of its own.
package struct ScaleBenchmark: Sendable {
    /// The figures for one number of workers.
    package struct Result: Sendable {
        /// Workers in the stage's group.
        package var workers: Int
        /// Items that were handled, each once.
        package var items: Int
        /// From the first item taken up to the last one done, in seconds.
        package var seconds: Double
        /// Items that the least and the most busy worker handled.
        package var perWorker: ClosedRange<Int>
        /// When half of all items were done: how many of the least and the most served partition's.
        package var halfwayPerPartition: ClosedRange<Int>
        /// Items that were handled more than once.
        package var repeated: Int
        /// The most items that were in work at the same time.
        package var atOnce: Int

        /// Items a second.
        package var rate: Double { Double(items) / seconds }
    }

    /// What an item waits, in milliseconds.
    package var waitMilliseconds: Int
    /// Items for each worker; rounded up so that every partition has the same number.
    package var itemsPerWorker: Int

    /// A benchmark that has not run yet.
    package init(waitMilliseconds: Int = 20, itemsPerWorker: Int = 100) {
        self.waitMilliseconds = waitMilliseconds
        self.itemsPerWorker = itemsPerWorker
    }

    /// Measures one number of workers. Blocks until all is done.
    /// - Parameter log: an empty log of its own; the benchmark's events stay in it.
    package func run(workers: Int, log: any EventLog) throws -> Result {
        let partitions = try log.open().partitioning.count
        let perPartition = max(2, (itemsPerWorker * workers + partitions - 1) / partitions)
        try append(perPartition, log)
        let tally = Tally(items: perPartition * partitions, workers: workers, partitions: partitions)
        let instance = "bench-\(ULID.make(at: SystemClock().now()))"
        let beats = try OwnThread(name: "beat") { [finished = tally.finished] in
            let liveness = try log.liveness()
            repeat {
                try liveness.beat(ConsumerName.mark(ofInstance: instance), forMilliseconds: 5000)
            } while !finished.wait(milliseconds: 500)
        }
        let threads = try (0..<workers).map { number in
            try OwnThread(name: "scale-\(number)") { [waitMilliseconds] in
                let stage = WaitingStage(number, milliseconds: waitMilliseconds, tally)
                let worker = StageWorker(
                    stage: stage, log: log, consumer: ConsumerName(instance: instance, number: number),
                    policy: RetryPolicy(), clock: SystemClock(), report: .silent, parkedEvents: { _, _ in [] }
                )
                do { try worker.run(stop: tally.finished) } catch {
                    tally.finished.set()
                    throw error
                }
            }
        }
        for thread in threads { try thread.join() }
        try beats.join()
        return tally.result
    }

    /// As many items to each partition, in turn.
    private func append(_ perPartition: Int, _ log: any EventLog) throws {
        let store = try log.open()
        let context = EventContext(source: "/reel/bench", actor: .system("bench"))
        let now = SystemClock().now()
        var keys = [String?](repeating: nil, count: store.partitioning.count)
        var candidate = 0
        while keys.contains(where: { $0 == nil }) {
            let key = "scale-\(candidate)"
            keys[store.partitioning.partition(of: key)] = key
            candidate += 1
        }
        for number in 0..<perPartition {
            _ = try store.append(
                keys.compactMap { $0 }.map { key in
                    let item = ProposedEvent(
                        id: "\(key)/\(number)", type: WaitingStage.item, version: 1, subject: key, time: now,
                        context: context, data: Array("{}".utf8))
                    return AppendBatch(to: key, expecting: .any, [item])
                })
        }
    }
}

/// What the workers have done together.
private final class Tally: Sendable {
    private struct State {
        var began: ContinuousClock.Instant?
        var ended: ContinuousClock.Instant?
        var done: Set<LogPosition> = []
        var repeated = 0
        var byWorker: [Int]
        var byPartition: [Int]
        var halfway: [Int] = []
        var inWork = 0
        var atOnce = 0
    }

    let finished = StopSignal()
    private let items: Int
    private let state: Lock<State>

    init(items: Int, workers: Int, partitions: Int) {
        self.items = items
        state = Lock(
            State(
                byWorker: Array(repeating: 0, count: workers),
                byPartition: Array(repeating: 0, count: partitions)))
    }

    func begin() {
        state.withLock { state in
            if state.began == nil { state.began = ContinuousClock.now }
            state.inWork += 1
            state.atOnce = max(state.atOnce, state.inWork)
        }
    }

    func end() { state.withLock { $0.inWork -= 1 } }

    /// - Parameter positions: of what the log holds the outcome of.
    func done(_ position: LogPosition, by worker: Int) {
        let isLast = state.withLock { state in
            guard state.done.insert(position).inserted else {
                state.repeated += 1
                return false
            }
            state.byWorker[worker] += 1
            state.byPartition[position.partition] += 1
            if state.done.count == (items + 1) / 2 { state.halfway = state.byPartition }
            if state.done.count == items { state.ended = ContinuousClock.now }
            return state.done.count == items
        }
        if isLast { finished.set() }
    }

    var result: ScaleBenchmark.Result {
        state.withLock { state in
            let elapsed = (state.ended ?? .now) - (state.began ?? .now)
            return ScaleBenchmark.Result(
                workers: state.byWorker.count, items: state.done.count, seconds: elapsed / .seconds(1),
                perWorker: range(of: state.byWorker), halfwayPerPartition: range(of: state.halfway),
                repeated: state.repeated, atOnce: state.atOnce)
        }
    }

    private func range(of counts: [Int]) -> ClosedRange<Int> { (counts.min() ?? 0)...(counts.max() ?? 0) }
}

/// A stage whose work is waiting.
private final class WaitingStage: Stage {
    static let item = "BenchItem"

    let name = "bench-scale"
    let consumes: Set<String> = [item]
    private let number: Int
    private let milliseconds: Int
    private let tally: Tally
    private let patience = StopSignal()

    init(_ number: Int, milliseconds: Int, _ tally: Tally) {
        self.number = number
        self.milliseconds = milliseconds
        self.tally = tally
    }

    func handle(_ delivery: Delivery) -> StageOutcome {
        tally.begin()
        _ = patience.wait(milliseconds: milliseconds)
        tally.end()
        let event = delivery.event
        return .done([
            ProposedEvent(
                id: Self.result(of: event), type: "BenchDone", version: 1, subject: event.subject,
                time: event.time, context: EventContext(source: "/reel/bench", actor: .system("bench")),
                data: Array("{}".utf8))
        ])
    }

    func settled(_ delivery: Delivery, appended: Bool) { tally.done(delivery.event.position, by: number) }
    func resultID(of delivery: Delivery) -> String? { Self.result(of: delivery.event) }

    private static func result(of event: RecordedEvent) -> String { "\(event.id)/done" }
}
