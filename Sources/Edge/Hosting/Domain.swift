package import APIKit
package import Access
package import Base
package import Console
package import EventSourcing
package import ReadModels

/// Everything that one domain brings. The program has a list of them; nothing below knows which.
package struct Domain: Sendable {
    /// What its histories' partition keys begin with; events of another are none of its business.
    package var category: Category
    /// Its read models.
    package var views: [any ProjectedCategory] = []
    /// Its stages.
    package var stages: [HostedStage] = []
    /// Who else reads the log for it and goes on where it stopped.
    package var readers = SubscriptionRegistry([])
    /// Roles that somebody can have for it.
    package var roles: [Role] = []
    /// Kinds of requests that are limited apart.
    package var rates: [RateClass] = []
    /// Codes of its errors.
    package var errors: [ErrorCode] = []
    /// What its own failures are answered with over HTTP and on the command line; nil for those of others.
    package var answer: @Sendable (any Error) -> ErrorInfo? = { _ in nil }
    /// What is asked of it over HTTP, below the API's prefix.
    package var endpoints: @Sendable (DomainHost) -> [Endpoint] = { _ in [] }
    /// What is asked of it on the command line.
    package var commands: [HostedCommand] = []

    /// A domain that brings nothing yet.
    package init(_ category: Category) { self.category = category }

    /// All of its readers of the log.
    package var subscriptions: SubscriptionRegistry {
        SubscriptionRegistry(stages.map(\.subscription)) + readers
    }
}

extension Domain {
    /// What cannot stand beside each other: two that share a name would take each other's work unnoticed.
    /// Empty where all fit.
    /// - Parameter program: what the program that hosts them has itself.
    package static func conflicts(
        among domains: [Domain], in program: ProgramNames = ProgramNames()
    ) -> [String] {
        func twice(_ what: String, _ names: [String]) -> [String] {
            Dictionary(grouping: names) { $0 }.filter { $0.value.count > 1 }.keys.sorted()
                .map { "\(what) '\($0)' stands twice" }
        }
        let views = domains.flatMap(\.views).flatMap(\.views).flatMap(\.collections)
        let reserved = views.map(\.name).filter { $0 == "checkpoints" || $0.hasPrefix("replay_") }
            .map { "the collection '\($0)' is kept for the projection itself" }
        let sums =
            domains.flatMap(\.views).count { $0.totals != nil } > 1
            ? ["more than one view keeps sums"] : []
        let commands = domains.flatMap(\.commands)
        let options = commands.flatMap { command in
            twice(
                "the option of '\(command.declaration.name)'",
                command.declaration.optionNames + program.options)
        }
        // A domain may show views of more categories than its own, and has them then.
        let categories = domains.flatMap { domain in
            Set([domain.category] + domain.views.map(\.category)).map(\.name)
        }
        let split = domains.flatMap { twice("the views of the category", $0.views.map(\.category.name)) }
        return split + twice("the category", categories)
            + twice(
                "the subscription",
                domains.flatMap { $0.subscriptions.all.map(\.name) } + program.subscriptions)
            + twice("the collection", views.map(\.name)) + reserved + sums
            + twice("the kind of limit", domains.flatMap { $0.rates.map(\.rawValue) })
            + twice("the error", domains.flatMap { $0.errors.map(\.name) } + ErrorCode.general.map(\.name))
            + twice("the command", commands.map(\.declaration.name) + program.commands) + options
    }
}

/// Names that a program has taken before any domain comes.
package struct ProgramNames: Sendable {
    /// Of its commands.
    package var commands: [String]
    /// Of the options that are added to every command of a domain.
    package var options: [String]
    /// Of its own readers of the log.
    package var subscriptions: [String]
    package init(commands: [String] = [], options: [String] = [], subscriptions: [String] = []) {
        self.commands = commands
        self.options = options
        self.subscriptions = subscriptions
    }
}

/// What a domain's code works with, wherever it runs. Calls block; any thread may call.
package struct DomainHost: Sendable {
    /// The log.
    package let log: any EventLog
    /// A store that threads may share.
    package let store: any EventStore & Sendable
    /// The documents of the views.
    package let documents: any DocumentQueries
    /// The time.
    package let clock: any WallClock
    package init(
        log: any EventLog, store: any EventStore & Sendable, documents: any DocumentQueries,
        clock: any WallClock
    ) {
        self.log = log
        self.store = store
        self.documents = documents
        self.clock = clock
    }
}

/// A command of a domain, on a running system.
package struct HostedCommand: Sendable {
    /// What it takes. How the system is found is added to it.
    package let declaration: CommandDeclaration
    /// What records call it, in words as those of an endpoint; nil for a command that only looks:
    /// of it there is no record.
    package let action: String?
    /// What it does, in whose name; answers the lines that it prints. What it throws as `ErrorInfo` is a
    /// refusal.
    package let run: @Sendable (Settings, DomainHost, EventContext) throws -> [String]
    package init(
        _ declaration: CommandDeclaration, action: String?,
        run: @escaping @Sendable (Settings, DomainHost, EventContext) throws -> [String]
    ) {
        precondition(
            action.map(Endpoint.isAction) ?? true,
            "\(declaration.name): \(action ?? "") is no action that a record can have")
        self.declaration = declaration
        self.action = action
        self.run = run
    }
}
