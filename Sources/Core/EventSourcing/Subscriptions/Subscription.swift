/// A reader of the log that goes on where it stopped: what those have to know of it who do not run it.
package struct Subscription: Sendable, Hashable {
    /// Where it keeps how far it is in each partition.
    package enum Checkpoint: Sendable, Hashable {
        /// A consumer group of its name, whose members share the events of a partition.
        case group
        /// A checkpoint of its name beside the log. A partition has one owner at a time.
        case log
        /// The first of its indexes, written together with the values. A partition has one owner at a time.
        case index
        /// Its own database, written together with what follows from the events.
        case apart
    }

    /// Its name, and that of its group, its leases, its checkpoint and what it parks. No two have the same.
    package let name: String
    /// Where it keeps how far it is.
    package let checkpoint: Checkpoint
    /// Whether an event that it cannot handle is set aside under its name.
    package let parks: Bool
    /// Whether it keeps events in the log's server before it has read them, even where it has never begun.
    /// One that has begun does so in any case.
    package let holdsBack: Bool
    /// Names of the values that it keeps beside the log.
    package let indexes: [String]
    package init(
        _ name: String, _ checkpoint: Checkpoint, parks: Bool, holdsBack: Bool, indexes: [String] = []
    ) {
        self.name = name
        self.checkpoint = checkpoint
        self.parks = parks
        self.holdsBack = holdsBack
        self.indexes = indexes
    }
}

/// All that read a log and go on where they stopped. The archiver, status, what is parked and the log itself
/// read it; nobody else lists them.
package struct SubscriptionRegistry: Sendable {
    /// All of them; stages in the order in which events go through them.
    package let all: [Subscription]
    /// Names of the leases of work that one process at a time does, beside all subscriptions.
    package let tasks: [String]

    /// A registry of these.
    package init(_ all: [Subscription], tasks: [String] = []) {
        self.all = all
        self.tasks = tasks
    }

    /// Those of both.
    package static func + (left: SubscriptionRegistry, right: SubscriptionRegistry) -> SubscriptionRegistry {
        SubscriptionRegistry(left.all + right.all, tasks: left.tasks + right.tasks)
    }

    /// Consumer groups.
    package var groups: [Subscription] { all.filter { $0.checkpoint == .group } }
    /// Those whose partitions have one owner at a time; those that park come first.
    package var ordered: [Subscription] {
        let ordered = all.filter { $0.checkpoint != .group }
        return ordered.filter(\.parks) + ordered.filter { !$0.parks }
    }
    /// Those that set events aside.
    package var parking: [Subscription] { (groups + ordered).filter(\.parks) }
    /// Names of all values that are kept beside the log.
    package var indexes: [String] { all.flatMap(\.indexes) }

    /// The one of this name that keeps its place so; refuses a name that nobody has registered, because the
    /// archiver would not know of it.
    package func require(_ name: String, _ checkpoint: Subscription.Checkpoint) throws(LogFailure) {
        guard !all.contains(where: { $0.name == name && $0.checkpoint == checkpoint }) else { return }
        throw LogFailure(
            .invalid, operation: "subscribe", key: name,
            text: "no subscription of this name is registered that keeps its place so")
    }
}
