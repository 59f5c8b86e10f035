import Console
import EventSourcing
import MongoViews
import Pipeline
import RedisLog
import Supervision
import Vault

/// A running system as a command sees it: found by its endpoints, opened as far as is needed.
struct RunningSystem {
    let endpoints: Endpoints
    let log: RedisEventLog

    /// Finds the system that `settings` name and opens its log.
    init(_ settings: Settings) throws {
        endpoints = try Endpoints.find(settings)
        log = try RedisEventLog.open(endpoints.redisURL, createWith: nil)
    }

    /// The server of the read models and the wrapped keys.
    func mongo() throws -> MongoPool { try MongoPool(MongoSettings(url: endpoints.mongodbURL)) }

    /// What dashboards ask.
    func queries() throws -> MongoQueries { MongoReadModels(try mongo()).queries }

    /// The sealed files.
    func chunks() throws -> ChunkStore { try ChunkStore(root: endpoints.chunkStore) }

    /// Everything that touching content needs.
    func vault() throws -> VaultAccess {
        VaultAccess(
            spool: try Spool(root: endpoints.spool), chunks: try chunks(),
            ring: try KeyRing.open(folder: endpoints.keys), archive: MongoKeyArchive(try mongo()))
    }
}
