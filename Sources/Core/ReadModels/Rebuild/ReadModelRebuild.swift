package import Base
package import EventSourcing

/// Which read models are built again.
package enum RebuildScope: Sendable, Hashable {
    /// All of them.
    case everything
    /// One collection, by its name.
    case collection(String)
    /// Everything of one history, by its partition key.
    case history(String)
}

/// A document in which what is shown and what the log says differ.
package struct ReadModelDifference: Sendable, Hashable {
    /// How they differ.
    package enum Kind: Sendable, Hashable {
        /// The log knows it, the read model does not have it.
        case missing
        /// The read model has it, the log does not know it.
        case extra
        /// Both have it, and these fields are not the same; a dot leads into a field of a field.
        case changed([String])
    }

    /// The collection of the document.
    package var collection: String
    /// The document's own id.
    package var key: String
    /// How they differ.
    package var kind: Kind
    package init(collection: String, key: String, _ kind: Kind) {
        self.collection = collection
        self.key = key
        self.kind = kind
    }
}

/// What came of comparing the read models that are shown with those that were built beside them.
package struct ReadModelComparison: Sendable, Hashable {
    /// Differences that are listed; the others are counted only.
    package static let listedLimit = 1_000

    /// Documents that were built from the log and compared.
    package var documents = 0
    /// Documents that differ.
    package var differences = 0
    /// The first of them.
    package var listed: [ReadModelDifference] = []
    /// Documents among those that differ of which more is shown than was built.
    package var ahead = 0
    /// Documents that could not be decided on yet: what is shown is still behind the log, or moved on
    /// while it was looked at.
    package var unsettled = 0

    /// A comparison of nothing.
    package init() {}

    /// Counts a difference, and lists it as long as there is room.
    package mutating func add(_ difference: ReadModelDifference) {
        differences += 1
        if listed.count < Self.listedLimit { listed.append(difference) }
    }
}

/// How far a rebuild is.
package struct RebuildProgress: Sendable, Hashable {
    /// What is being done.
    package enum Step: String, Sendable {
        case rebuilding, comparing, settling, swapping
    }

    /// What is being done.
    package var step: Step
    /// Events of the log that are built, those of an interrupted run that it goes on with included.
    package var events: Int
    /// Events that are to be built; 0 when that is not known.
    package var total: Int
    package init(step: Step, events: Int, total: Int) {
        self.step = step
        self.events = events
        self.total = total
    }

    /// How much of the building is done, from 0 to 100; nil when it is not known.
    package var percent: Int? {
        guard total > 0 else { return nil }
        // Both were read: their product may be larger than any number here.
        return total.dividingFullWidth(min(max(0, events), total).multipliedFullWidth(by: 100)).quotient
    }
}

/// A rebuild that is at work, or was when it was last heard of.
package struct RunningRebuild: Sendable, Hashable {
    /// Who does it, for people.
    package var worker: String
    /// Since when.
    package var since: Timestamp?
    /// How far it was.
    package var progress: RebuildProgress?
    /// Until when it is taken for running if nothing more is heard of it. It changes as long as there is life
    /// in it.
    package var until: Timestamp
    /// Milliseconds until then, by the database's clock.
    package var left_ms: Int

    /// A rebuild from what is known of it.
    package init(
        worker: String, since: Timestamp?, progress: RebuildProgress?, until: Timestamp, left_ms: Int
    ) {
        self.worker = worker
        self.since = since
        self.progress = progress
        self.until = until
        self.left_ms = left_ms
    }
}

/// Read models that are built from the log beside those that are shown, compared with them, and put in
/// their place. Calls block; one thread.
package protocol ReadModelRebuild: AnyObject {
    /// Takes up what an interrupted rebuild of the same scope left, or begins afresh; answers after which
    /// positions to go on.
    func begin() throws -> [Int: LogPosition]

    /// Builds on with these events; without any, everything given so far is written when it returns.
    func apply(_ events: [RecordedEvent]) throws

    /// Nothing is to be built of what stands up to these positions beside what was given.
    func pass(_ ends: [LogPosition])

    /// Takes up what was written before `apply` threw; answers after which positions to go on.
    func goBack() throws -> [Int: LogPosition]

    /// Compares document by document. Call it when everything up to some point of the log is applied.
    /// What cannot be decided yet is kept for `settle`.
    func compare() throws -> ReadModelComparison

    /// Looks again at what could not be decided. Everything that stood in the log when the last look
    /// ended has to be applied.
    func settle() throws -> ReadModelComparison

    /// Says how far it is, and that it is at work: others who want to rebuild see it. Call it a few times a
    /// second.
    func note(_ progress: RebuildProgress) throws

    /// Whether what is shown has to be replaced even if nothing in it differs: it was made by an earlier
    /// version of the program, or its sums are not known.
    func isDue() throws -> Bool

    /// From now on, for `milliseconds`, projectors write nothing to what is shown. What they were writing
    /// at that moment came from events that stand in the log already.
    func hold(milliseconds: Int) throws

    /// Puts what was built in the place of what is shown, completely or not at all, and lets projectors go
    /// on. False when the hold had ended before; then nothing has changed.
    func swap() throws -> Bool

    /// Lets projectors go on.
    func release() throws

    /// Throws away what was built.
    func discard() throws
}
