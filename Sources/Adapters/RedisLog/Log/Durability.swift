internal import EventSourcing

/// What an append must have survived before it is acknowledged.
package struct Durability: Sendable, Hashable {
    /// What is demanded of the servers' settings.
    package enum Level: String, Sendable, Hashable, CaseIterable {
        /// Every master must have an append on its disk before it answers (`appendonly yes`,
        /// `appendfsync always`); a server that has not, or does not tell, is refused.
        case durable
        /// Whatever the servers' settings give; it is reported.
        case unconfirmed
    }

    /// What is demanded of the servers' settings.
    package var level: Level
    /// Replicas that must have taken an append over, 0 for none.
    package var minReplicas: Int
    /// Milliseconds that are waited for them.
    package var waitMilliseconds: Int

    /// No demands, unless given.
    package init(level: Level = .unconfirmed, minReplicas: Int = 0, waitMilliseconds: Int = 1000) {
        self.level = level
        self.minReplicas = minReplicas
        self.waitMilliseconds = waitMilliseconds
    }

    /// Refuses values that make no sense together.
    func requireSensible(commandMilliseconds: Int) throws(LogFailure) {
        guard (0...16).contains(minReplicas) else {
            throw LogFailure(
                .invalid, operation: "open", key: "min replicas", text: "must be from 0 to 16")
        }
        guard (1...commandMilliseconds - 500).contains(waitMilliseconds) else {
            throw LogFailure(
                .invalid, operation: "open", key: "wait for replicas",
                text: "must be from 1 to \(commandMilliseconds - 500) ms")
        }
    }

    /// What an append waits for; nil for nothing.
    var demand: ReplicaDemand? {
        minReplicas > 0 ? ReplicaDemand(replicas: minReplicas, milliseconds: waitMilliseconds) : nil
    }

    /// What is wrong where too few replicas have something.
    func shortfall(_ replicas: Int) -> String {
        "\(replicas) of \(minReplicas) replicas confirmed it within \(waitMilliseconds) ms"
    }

    /// What comes to what the servers' settings give, in half a sentence; empty without replicas.
    func sentence(isReplicated: Bool) -> String {
        if minReplicas > 0 {
            return "; \(minReplicas) replica\(minReplicas == 1 ? " has" : "s have") it in memory "
                + "(waited for at most \(waitMilliseconds) ms)"
        }
        return isReplicated
            ? "; a failover loses what the new master had not yet taken over (set REEL_MIN_REPLICAS)" : ""
    }
}
