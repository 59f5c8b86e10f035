import Console
import RedisLog

/// What an append must have survived before it counts as made.
enum DurabilitySettings {
    static let level = Setting(
        "durability", "LEVEL", .oneOf(Durability.Level.allCases.map(\.rawValue)),
        variable: "REEL_DURABILITY", default: Durability.Level.unconfirmed.rawValue,
        help: "durable refuses a Redis that does not have appends on disk when it answers; unconfirmed "
            + "takes and reports what its settings give")
    static let replicas = Setting(
        "min-replicas", "N", .integer(0...16), variable: "REEL_MIN_REPLICAS", default: "0",
        help: "Replicas that must have taken an append over before it is acknowledged")
    static let wait = Setting(
        "wait-ms", "MS", .integer(1...4500), variable: "REEL_WAIT_MS", default: "1000",
        help: "Milliseconds to wait for them; after that the append is tried again")

    static let declarations = [level.declaration, replicas.declaration, wait.declaration]

    /// The checked values.
    static func durability(_ settings: Settings) throws(UsageError) -> Durability {
        Durability(
            level: Durability.Level(rawValue: try settings.require(level)) ?? .unconfirmed,
            minReplicas: try settings.require(replicas), waitMilliseconds: try settings.require(wait))
    }
}
