/// How often what goes wrong in a simulated world; each value is a probability per step unless said
/// otherwise.
package struct FaultPlan: Sendable, Hashable {
    /// A process dies, with all its threads.
    package var crash = 0.0
    /// A thread stands still for up to two minutes, and goes on with what it knew.
    package var stall = 0.0
    /// A whole process stands still, its liveness mark included.
    package var freeze = 0.0
    /// A thread, or its process, stands still for longer than leases and marks last, just before it appends
    /// or writes a document: it wakes up late, with what it knew. Per append and per write.
    package var late = 0.0
    /// A call never reaches the log.
    package var unreachable = 0.0
    /// A call of the log takes effect and its answer is lost.
    package var lostAnswer = 0.0
    /// A call about a file fails: no room, or an input/output error.
    package var file = 0.0
    /// A write of the read models is cut off, with a part of it done.
    package var database = 0.0
    /// The wall clock of a process is set forward or back.
    package var clock = 0.0
    /// The power is cut: every process dies, files and folders lose what was not synchronized, the log and
    /// the database what they had not acknowledged.
    package var power = 0.0
    /// A stage or an ordered subscription fails on an event, per event: once or twice, or until somebody
    /// mends it.
    package var poison = 0.0
    /// A sender stands still for longer than its server waits for it, per piece that it sends.
    package var frozenSender = 0.0
    /// A sender's connection breaks, per piece.
    package var brokenSender = 0.0
    /// The turn goes on to another thread.
    package var switching = 0.3
    /// Steps with faults; afterwards everything works and everybody is started again.
    package var faultySteps = 0
    /// Steps in which everything has to be settled once faults have stopped.
    package var calmSteps = 40_000

    /// Nothing goes wrong.
    package init() {}

    /// A plan by chance: some kinds of fault, some of them often.
    static func random(_ chance: inout Chance) -> FaultPlan {
        var plan = FaultPlan()
        func pick(_ most: Double, _ chance: inout Chance) -> Double {
            let share = chance.number(in: 0...3)
            return share == 0 ? 0 : most * Double(share * share) / 9
        }
        plan.crash = pick(0.012, &chance)
        plan.stall = pick(0.006, &chance)
        plan.freeze = pick(0.003, &chance)
        plan.late = pick(0.06, &chance)
        plan.unreachable = pick(0.02, &chance)
        plan.lostAnswer = pick(0.03, &chance)
        plan.file = pick(0.02, &chance)
        plan.database = pick(0.1, &chance)
        plan.clock = pick(0.004, &chance)
        plan.power = chance.happens(0.3) ? 0.002 : 0
        plan.poison = chance.happens(0.4) ? [0.02, 0.1][chance.number(in: 0...1)] : 0
        plan.frozenSender = pick(0.4, &chance)
        plan.brokenSender = pick(0.1, &chance)
        plan.switching = [0.1, 0.3, 0.6][chance.number(in: 0...2)]
        plan.faultySteps = chance.number(in: 200...1500)
        return plan
    }
}

/// How many faults of each kind a run met.
package struct FaultCounts: Sendable, Hashable {
    /// Processes that died.
    package var crashes = 0
    /// Threads and processes that stood still.
    package var stalls = 0
    /// Calls that did not reach the log.
    package var unreachable = 0
    /// Calls of the log whose answer was lost.
    package var lostAnswers = 0
    /// File calls that failed.
    package var files = 0
    /// Writes of the read models that were cut off.
    package var database = 0
    /// Clocks that were set.
    package var clocks = 0
    /// Times that the power was cut.
    package var powerCuts = 0
    /// Times that a stage or a subscription was made to fail.
    package var poison = 0
    /// Times that a sender stood still, or its connection broke.
    package var senders = 0
    /// Sources that were cut off while they were recorded.
    package var cutSources = 0

    /// Nothing yet.
    package init() {}

    /// All of them.
    package var total: Int {
        crashes + stalls + unreachable + lostAnswers + files + database + clocks + powerCuts + poison
            + senders
            + cutSources
    }

    /// Adds those of another run.
    package static func += (sum: inout FaultCounts, other: FaultCounts) {
        sum.crashes += other.crashes
        sum.stalls += other.stalls
        sum.unreachable += other.unreachable
        sum.lostAnswers += other.lostAnswers
        sum.files += other.files
        sum.database += other.database
        sum.clocks += other.clocks
        sum.powerCuts += other.powerCuts
        sum.poison += other.poison
        sum.senders += other.senders
        sum.cutSources += other.cutSources
    }
}
