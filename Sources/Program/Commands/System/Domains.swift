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

    var declaration: CommandDeclaration {
        command.declaration.adding(Common.places)
    }

    func run(_ settings: Settings) throws -> ExitStatus {
        let system = try RunningSystem(settings, for: .changing)
        let host = try Domains.host(on: system.log, MongoReadModels(try system.mongo(), .all))
        do {
            for line in try command.run(settings, host) { try Output.line(line) }
        } catch let refusal as ErrorInfo {
            throw CommandFailure(.no, refusal.message)
        }
        return .success
    }
}
