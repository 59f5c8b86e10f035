package import EventSourcing
package import Intake
package import Pipeline

/// Parts of a simulated world that may be put in place of the usual ones, to see that what they break is
/// found.
package struct Variations: Sendable {
    /// The log as workers reach it.
    package var log: @Sendable (any EventLog) -> any EventLog = { $0 }
    /// The stage of a worker.
    package var stage: @Sendable (ChunkStage, VaultAccess) -> any Stage = { stage, _ in stage }
    /// The log as gateways' intakes reach it.
    package var intakeLog: @Sendable (any IntakeLog) -> any IntakeLog = { $0 }
    /// What goes wrong, beside what the seed says.
    package var faults: @Sendable (inout FaultPlan) -> Void = { _ in }
    /// What a power cut leaves of what was said to be durable.
    package var promises = PowerPromises()
    /// The database of the read models.
    package var database: @Sendable () -> ReadModelDatabase = { ReadModelDatabase() }

    /// The usual parts.
    package init() {}
}
