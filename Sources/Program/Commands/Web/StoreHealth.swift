import EventSourcing
import Gateway
import Metrics
import MongoViews
import Recording
import RedisLog
import RecordingMongo
import APIKit

/// How the read models and the vault are, for whoever asks for a role's health. What is said holds no secret,
/// and names no session.
enum StoreHealth {
    /// What is wrong with the read models; nil when all is well.
    /// - Parameter failed: whether the role can do nothing without them.
    static func readModels(of system: OpenSystem, failed: Bool) throws -> HealthProbe.Finding? {
        do {
            let lack = try system.views.shortcoming(epoch: system.log.epoch, isQuick: true)
            guard case .lostCollections? = lack else { return nil }
            return HealthProbe.Finding(.degraded, lack.map { "\($0)" } ?? "")
        } catch let failure as ProjectionFailure where failure.remedy == .operators {
            // What an operator has to put right is said; the rest is that nobody answers.
            return HealthProbe.Finding(failed ? .unhealthy : .degraded, failure.summary)
        }
    }

    /// What is wrong with the sessions' keys, as of the last look; nil when all is well.
    static func keys(_ watch: KeyWatch) -> HealthProbe.Finding? {
        if let failure = watch.failure {
            return HealthProbe.Finding(.degraded, "keys cannot be looked at: \(failure)")
        }
        guard let count = watch.report?.count, count > 0 else { return nil }
        return HealthProbe.Finding(.degraded, "\(count) keys are missing: 'reel keys check' names them")
    }

    /// What stands in the databases that Reel does not expect there, and what it misses.
    static func figures(of system: OpenSystem, in metrics: MetricsRegistry) {
        metrics.reading(
            "reel_mongodb_foreign_documents",
            "Documents in the read models' collections that are none of Reel's and are left out."
        ) { Double(system.views.foreign.count) }
        metrics.reading("reel_vault_missing_keys", "Sessions whose data key cannot be had.") {
            Double(system.keyWatch.report?.count ?? 0)
        }
    }
}
