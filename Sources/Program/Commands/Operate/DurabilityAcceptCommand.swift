import Operations
import Base
import Console
import EventSourcing
import Recording
import RedisLog

/// `reel durability accept`: what the server's settings give now is what the log is to have.
enum DurabilityAcceptCommand: Command {
    static let reason = Setting(
        "reason", "TEXT", .text(upTo: 500), isRequired: true,
        help: "Why, for the record of who did what")

    static let declaration = CommandDeclaration(
        "durability", "accept", summary: "Accept that an append survives less than it once did",
        details:
            "The log remembers the most that its Redis ever gave an append: appendonly and appendfsync, and "
            + "min-replicas-to-write. Where it gives less, 'reel status', health and log say so, after "
            + "restarts too, until the settings are as they were or somebody accepts them with this "
            + "command. Where REEL_DURABILITY=durable is demanded nothing is appended to such a server, "
            + "accepted or not.",
        options: [reason.declaration, Common.json.declaration] + Common.places,
        examples: ["reel durability accept --reason 'the new disks are slow; ticket 4711'"],
        statuses: [
            "1  the server gives as much as ever: there is nothing to accept", Common.usageStatus,
            Common.dependencyStatus,
        ])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let reason = try settings.require(reason)
        let system = try RunningSystem(settings, for: .changing)
        guard let worsened = try system.log.acceptDurability() else {
            throw CommandFailure(.no, "an append survives as much as it ever did; there is nothing to accept")
        }
        try CommandTrail(system.log).keep(
            .configurationChange, on: AuditResource(.other, id: "durability"), reason: reason,
            details: ["command": declaration.name, "accepted": worsened])
        guard settings[Common.json] else {
            try Output.line("accepted: \(worsened)")
            return .success
        }
        var writer = JSONWriter()
        writer.object { $0.member("accepted", worsened) }
        try Output.line(writer)
        return .success
    }
}
