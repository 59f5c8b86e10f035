import Console
import EventSourcing
import Glibc
package import Hosting
import MediaProbe
import MongoViews
import Supervision

/// The commands there are, and how one of them is run.
package enum Program {
    static let version = "0.2.0"

    /// The commands that every program has, whichever domains it hosts.
    private static let own: [any Command.Type] = [
        UpCommand.self, ServeCommand.self, ServeCheckCommand.self, RecordCommand.self,
        SessionsListCommand.self, SessionsShowCommand.self, SessionsExpireCommand.self,
        ChunksCommand.self, EventsCommand.self, VerifyCommand.self, ProofCommand.self, ProofCheckCommand.self,
        ProofConsistencyCommand.self, ProofConsistencyCheckCommand.self, ExportCommand.self,
        HoldSetCommand.self, HoldLiftCommand.self, HoldListCommand.self,
        KeysExportCommand.self, KeysCheckCommand.self, KeysInitCommand.self, AuditCommand.self,
        StatusCommand.self, DurabilityAcceptCommand.self, BenchSealCommand.self,
        BenchScaleCommand.self,
        BenchAppendCommand.self, BenchProjectCommand.self, BenchGrowthCommand.self, BenchAPICommand.self,
        BenchBareCommand.self, BenchLiveCommand.self, ReplayCommand.self,
        ParkedListCommand.self, ParkedShowCommand.self, ParkedRetryCommand.self,
        ParkedDiscardCommand.self,
        PartitionsListCommand.self, PartitionsLiftCommand.self,
        TokenCommand.self, ArchiveStatusCommand.self, ArchiveRunCommand.self, ArchiveVerifyCommand.self,
    ]

    /// All commands: the program's own, and those of the domains that it hosts.
    static var commands: [any Runnable] {
        own.map { OwnCommand(type: $0) }
            + Domains.all.flatMap { domain in
                domain.commands.map { DomainCommand(command: $0, category: domain.category) }
            }
    }

    static var declaration: ProgramDeclaration {
        ProgramDeclaration(
            name: "reel", version: version,
            summary:
                "Reel records remote-desktop sessions, seals what it records, and can prove afterwards that "
                + "nothing was changed, dropped or reordered.",
            commands: commands.map(\.declaration))
    }

    /// Runs what the process's arguments ask for, on a system that hosts these domains.
    /// - Returns: the status that the process ends with.
    package static func run(domains: [Domain]) -> Int32 {
        // First: what commands declare follows from it.
        Domains.host(domains)
        var conflicts = Domain.conflicts(among: domains)
        // Only where they fit: what commands declare is made from all views.
        if conflicts.isEmpty {
            conflicts = Domain.conflicts(
                among: domains,
                in: ProgramNames(
                    commands: own.map { $0.declaration.name }, options: Common.places.map(\.name),
                    subscriptions: [MongoReadModels.subscription.name]))
        }
        guard conflicts.isEmpty else {
            Output.error(
                "reel: the domains of this program do not fit together: " + conflicts.joined(separator: "; "))
            return ExitStatus.usage.rawValue
        }
        return run(ProcessStart.arguments).rawValue
    }

    /// Runs what the arguments ask for; every error ends here, as a message and a status.
    /// - Parameter arguments: those behind the program's name; nil for one that is no text.
    static func run(_ arguments: [String?]) -> ExitStatus {
        // Before anything else is begun: this process is to read a stranger's bytes, and to do nothing more.
        if arguments.first == MediaProbe.argument { exit(MediaProbe.look(arguments.dropFirst())) }
        Output.ignoreBrokenPipes()
        var name = ""
        do {
            let bad = arguments.indices.filter { arguments[$0] == nil }
            guard bad.isEmpty else { throw UsageError(bad.map { "argument \($0 + 1) is not UTF-8 text" }) }
            let arguments = arguments.compactMap { $0 }
            switch try declaration.parse(arguments, columns: min(100, Terminal.columns(of: .output) ?? 80)) {
            case .help(let text), .version(let text):
                try Output.line(text)
                return .success
            case .run(let invocation):
                name = invocation.command.name
                let settings = try Settings(
                    invocation, of: declaration, environment: environmentVariable,
                    file: try ConfigurationLookup.file(for: invocation))
                guard let command = commands.first(where: { $0.declaration.path == settings.command.path })
                else { throw UsageError(["unknown command \(settings.command.name)"]) }
                for option in settings.exposedOptions {
                    Output.error(
                        "reel \(name): warning: every user of this machine can read the password in \(option) "
                            + "on the command line; set the variable instead, or put it into reel.conf")
                }
                return try command.run(settings)
            }
        } catch {
            return Failures.report(error, of: name)
        }
    }
}

/// A command that can be run: the program's own, or a domain's.
protocol Runnable {
    var declaration: CommandDeclaration { get }
    func run(_ settings: Settings) throws -> ExitStatus
}

private struct OwnCommand: Runnable {
    let type: any Command.Type
    var declaration: CommandDeclaration { type.declaration }
    func run(_ settings: Settings) throws -> ExitStatus { try type.run(settings) }
}

/// One command: what it takes, and what it does.
protocol Command: SendableMetatype {
    static var declaration: CommandDeclaration { get }
    static func run(_ settings: Settings) throws -> ExitStatus
}
