import Access
import Base
import EventSourcing
import Console
import Gateway
import Glibc
import HTTPServer
import Intake
import Metrics
import MongoViews
import Pipeline
import RecordingMongo
import Recording
import RedisLog
import SessionContent
import Supervision
import Sealing
import APIKit
import Hosting

/// The services around a process's HTTP ports: one gateway for all roles that sessions are worked with over.
struct WebRoles {
    /// In the order in which they start.
    let services: [any Service]
    /// The ports themselves.
    let web: WebService

    init(_ system: OpenSystem, _ plan: WebPlan, command: String) throws {
        let authenticator = try Self.authenticator(system, plan, command)
        guard system.choice.servesSessions else {
            web = try WebService(
                system, plan, authenticator, command: command,
                figures: { role, metrics in Self.figures(of: role, system, in: metrics) })
            services = [web]
            return
        }
        let reading = LogReading(system)
        let trail = AuditTrail(
            log: system.log, source: "/reel/\(system.choice.listening[0].rawValue)", writer: system.instance,
            report: system.report.roles)
        let vault = try system.vault()
        var parts = GatewayParts(
            log: system.log, queries: system.views.queries, authenticator: authenticator,
            keys: SharedSessionKeys(vault), spool: vault.spool, chunks: vault.chunks, clock: SystemClock())
        parts.follower = reading.map { LiveVersions($0.feed) }
        parts.feed = reading?.feed
        parts.directory = reading.map { FeedDirectory($0.directory, $0.feed) }
        parts.onContradiction = { system.report(.warning, "gateway", $0) }
        parts.diskGuard = system.diskGuard
        parts.limiter = SharedRateLimiter(
            system.log.rateCounter(),
            onFailure: { system.report(.warning, "rates", "limits are counted here alone: \($0)") })
        parts.audit = trail
        parts.auditQueries = system.views.queries
        parts.passwords = RDPPasswords(ring: vault.ring, records: system.vaultDatabase.passwords)
        let takeover = system.log.holdTagTakeover
        parts.tagCounts = { try !takeover.isDone() }
        parts.errors = .hosted
        var settings = GatewaySettings()
        settings.chunkBytes = plan.chunkBytes
        settings.uploaderSeconds = plan.uploaderSeconds
        settings.intake.pausedSeconds = plan.pausedStreamSeconds
        settings.rates = plan.rates
        settings.documents = plan.documents
        settings.configuration = Self.configuration(system)
        let host = try Domains.host(on: system.log, system.views)
        let endpoints = Domains.all.flatMap { $0.endpoints(host) }
        let gateway = try Gateway(parts, settings)
        web = try WebService(
            system, plan, authenticator, command: command,
            figures: { role, metrics in
                Self.figures(of: role, system, in: metrics)
                if role == .api || role == .recorder, let reading {
                    reading.addFigures(to: metrics)
                    gateway.addFigures(to: metrics)
                }
            },
            routes: { role in
                role.service.map { gateway.routes(of: $0, and: $0 == .api ? endpoints : []) } ?? []
            })
        services = (reading?.services ?? []) + [trail] + gateway.services + [web]
    }

    /// Figures of the read models, at the port of who makes them; no number while they cannot be asked.
    private static func figures(of role: RoleName, _ system: OpenSystem, in metrics: MetricsRegistry) {
        if role == .storage { VerificationRole.addFigures(system, to: metrics) }
        guard role == .projector else { return }
        let queries = system.views.queries
        metrics.reading("reel_held_sessions", "Sessions that a case holds.") {
            var filter = SessionFilter()
            filter.isHeld = true
            return (try? queries.sessionCount(filter)).map(Double.init) ?? .nan
        }
    }

    private static func configuration(_ system: OpenSystem) -> ProcessConfiguration {
        var configuration = ProcessConfiguration()
        configuration.roles = RoleName.allCases.filter(system.choice.names.contains).map(\.rawValue)
        configuration.stages = system.choice.stages.sorted().map(\.rawValue)
        configuration.workers = system.workers
        configuration.isChaining = system.chaining
        configuration.partitions = system.log.partitioning.count
        configuration.compressionLevels = Codec.allCases.compactMap { codec in
            (system.levels[codec] ?? codec.defaultLevel).map { (codec.rawValue, $0) }
        }
        return configuration
    }

    private static func authenticator(
        _ system: OpenSystem, _ plan: WebPlan, _ command: String
    ) throws -> TokenAuthenticator {
        var keys: KeyFolder?
        if let path = plan.tokenKeys { keys = try folder(path, system, command) }
        if system.choice.servesSessions, keys?.isEmpty ?? true {
            system.report(
                .warning, command,
                "there are no keys to check tokens with, so nothing but health answers; name some with "
                    + "--token-keys"
            )
        }
        let policy = TokenPolicy(issuer: plan.issuer, audience: plan.audience)
        return TokenAuthenticator(keys, policy, roles: Domains.roles, clock: SystemClock())
    }

    /// The keys of a folder. Roles that sessions are worked with over make one that is missing, for keys to
    /// be put there; others, whose figures alone depend on it, go on without.
    private static func folder(
        _ path: String, _ system: OpenSystem, _ command: String
    ) throws -> KeyFolder? {
        let needsKeys = system.choice.servesSessions
        if needsKeys { mkdir(path, 0o700) }
        do throws(Access.KeyFailure) {
            return try KeyFolder(path: path) { problem in
                system.report(.warning, command, "a key for tokens cannot be used: \(problem)")
            }
        } catch {
            guard !needsKeys else { throw CommandFailure(.dependency, "--token-keys: \(error)") }
            system.report(.warning, command, "no keys to check tokens with: \(error)")
            return nil
        }
    }
}
