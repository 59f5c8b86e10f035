internal import RedisLog
import Operations
import APIKit
import Access
import Base
import Console
import Engine
import EventSourcing
import Gateway
package import Hosting
import MongoViews
import Pipeline
import ReadModels
import Recording

extension Domain {
    /// Recorded sessions, and the records of who did what to them. Their stages and handlers share keys and
    /// folders: `Roles` puts them together.
    package static let recording: Domain = {
        var domain = Domain(.bare)
        domain.views = RecordingViews.all.categories
        domain.readers = .recording
        domain.roles = Access.Role.recording
        domain.rates = RateClass.recording
        domain.errors = ErrorCode.recording
        return domain
    }()
}

/// The domains that this program hosts: named once, before anything else is done.
enum Domains {
    private static let hosted = Lock<[Domain]>([.recording])

    static var all: [Domain] { hosted.withLock { $0 } }

    static func host(_ domains: [Domain]) { hosted.withLock { $0 = domains } }

    /// What a domain's failure is answered with; nil where no domain knows it.
    static func answer(_ error: any Error) -> ErrorInfo? {
        all.lazy.compactMap { $0.answer(error) }.first
    }

    /// The categories that they are named by.
    static var categories: [EventSourcing.Category] { all.map(\.category) }

    static var roles: [Access.Role] { all.flatMap(\.roles) }
    static var rates: [RateClass] { all.flatMap(\.rates) }

    /// What their code works with in a process.
    static func host(
        on log: any EventLog, _ views: MongoReadModels
    ) throws(LogFailure) -> DomainHost {
        DomainHost(
            log: log, store: try StorePool(log), documents: views.documents, clock: SystemClock())
    }
}

extension SubscriptionRegistry {
    /// Everybody who reads the log and goes on where they stopped, in whatever process. No event leaves the
    /// log's server before those that hold it back have gone past it.
    static var all: SubscriptionRegistry {
        Domains.all.reduce(SubscriptionRegistry([])) { $0 + $1.subscriptions }
            + SubscriptionRegistry([MongoReadModels.subscription])
    }
}

extension ViewSet {
    /// The read models of all domains.
    static var all: ViewSet { ViewSet(Domains.all.flatMap(\.views)) }
}

/// A domain's command, on the running system that the settings name.
struct DomainCommand: Runnable {
    let command: HostedCommand
    let category: EventSourcing.Category

    var declaration: CommandDeclaration {
        command.declaration.adding(Common.places)
    }

    func run(_ settings: Settings) throws -> ExitStatus {
        let action = command.action.flatMap(AuditAction.init)
        let system = try RunningSystem(settings, for: action == nil ? .looking : .changing)
        if action != nil, category != .bare, try !system.log.hostedCategories().isHosted(category) {
            throw CommandFailure(
                .dependency,
                "no process of this log has hosted '\(category.name)' yet, and those that run would pass over "
                    + "what this command writes: start this program's 'up' or 'serve' first")
        }
        let host = try Domains.host(on: system.log, MongoReadModels(try system.mongo(), .all))
        let context = EventContext(source: "/reel/cli", actor: CurrentUser.actor)
        func keep(_ outcome: AuditOutcome, _ reason: String?) throws {
            guard let action else { return }
            try CommandTrail(system.log).keep(
                action, on: AuditResource(.other), outcome, reason: reason,
                details: ["command": declaration.name])
        }
        let lines: [String]
        do { lines = try command.run(settings, host, context) } catch {
            let refusal = error as? ErrorInfo ?? Domains.answer(error)
            // That this cannot be recorded is no news beside it.
            try? keep(refusal == nil ? .failed : .denied, "\(refusal ?? error)")
            guard let refusal else { throw error }
            throw CommandFailure(.no, "\(refusal)")
        }
        // It is done: what it says of it is said, whatever becomes of the record.
        let said = Result { for line in lines { try Output.line(line) } }
        try keep(.allowed, nil)
        try said.get()
        return .success
    }
}
