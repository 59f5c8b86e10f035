public import EventSourcing
public import Intake
public import Pipeline

/// Parts of a simulated world that may be put in place of the usual ones, to see that what they break is
/// found.
public struct Variations: Sendable {
    /// The log as workers reach it.
    public var log: @Sendable (any EventLog) -> any EventLog = { $0 }
    /// The stage of a worker.
    public var stage: @Sendable (ChunkStage, VaultAccess) -> any Stage = { stage, _ in stage }
    /// The log as gateways' intakes reach it.
    public var intakeLog: @Sendable (any IntakeLog) -> any IntakeLog = { $0 }
    /// What goes wrong, beside what the seed says.
    public var faults: @Sendable (inout FaultPlan) -> Void = { _ in }
    /// What a power cut leaves of what was said to be durable.
    public var promises = PowerPromises()
    /// The database of the read models.
    public var database: @Sendable () -> ReadModelDatabase = { ReadModelDatabase() }

    /// The usual parts.
    public init() {}
}
