internal import Engine
package import Base
package import EventSourcing
internal import Recording

/// How far verifying is, as the log's facts say it.
package struct VerificationSummary: Sendable, Hashable {
    /// Sessions that are completed or failed, and not deleted.
    package var over = 0
    /// Those of them that were verified at least once.
    package var verified = 0
    /// Those whose last verification found damage, or no key.
    package var faulty = 0
    /// When the one was verified that was verified longest ago, by the clock of the log's server.
    package var oldest: Timestamp?

    /// Nothing is known yet.
    package init() {}

    /// Goes through the facts of some partitions. Blocks.
    package init(of log: any EventLog, partitions: some Sequence<Int>) throws(LogFailure) {
        let index = try FactIndex<VerificationFacts>(log)
        var summary = VerificationSummary()
        for partition in partitions {
            try index.scan(partition) { _, facts in summary.take(facts) }
        }
        self = summary
    }

    private mutating func take(_ facts: VerificationFacts) {
        guard facts.isOver else { return }
        over += 1
        if facts.isFaulty { faulty += 1 }
        guard facts.outcome != nil else { return }
        verified += 1
        // Of a session of which something cannot be read nobody knows since when.
        guard facts.since_ms > 0 else { return }
        let at = Timestamp(milliseconds: Int64(clamping: facts.since_ms))
        oldest = min(oldest ?? at, at)
    }
}
