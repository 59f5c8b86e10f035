import Operations
import Base
import Console
import EventSourcing
import MongoViews
import Pipeline
import RecordingMongo
import RedisLog
import Supervision
import ChunkFiles
import Sealing

/// A running system as a command sees it: found by its endpoints, opened as far as is needed.
struct RunningSystem {
    let endpoints: Endpoints
    let log: RedisEventLog

    /// What a command means to do with the system.
    enum Purpose {
        /// To look: that is possible on a log that takes no writes, or is in trouble.
        case looking
        /// To look, and to write elsewhere what comes of it: that has to be safe from a failover.
        case deriving
        /// To change something: the log has to be what is demanded of it.
        case changing
    }

    /// Finds the system that `settings` name and opens its log. A server that is loading its data is
    /// waited for.
    /// - Parameter patienceMilliseconds: how long to wait for one that cannot be reached.
    init(_ settings: Settings, for purpose: Purpose = .looking, patienceMilliseconds: Int = 0) throws {
        endpoints = try Endpoints.find(settings)
        var options = RedisEventLog.Options()
        options.subscriptions = .all
        options.durability = try DurabilitySettings.durability(settings)
        options.onlyLooks = purpose != .changing
        options.confirmsReads = purpose != .looking
        // Whoever changes something may have to take back what the archive alone has; the keys vouch for it.
        // No key is made here: one that nobody else has would vouch for nothing.
        let vouches = purpose == .changing && (try? KeyRing.hasKey(folder: endpoints.keys)) == true
        let ring = vouches ? try? KeyRing.look(into: endpoints.keys) : nil
        options.archive = FileSegmentStore(root: endpoints.archive, ring: ring)
        let began = ContinuousClock.now
        var backoff = Backoff(firstMilliseconds: 100, limitMilliseconds: 1000)
        let pause = StopSignal()
        while true {
            do throws(LogFailure) {
                let found = try RedisEventLog.open(endpoints.redisURL, createWith: nil, options: options)
                try Self.require(found.epoch, endpoints, settings)
                log = found
                return
            } catch {
                if error.kind == .unsuitable, Self.isEmpty(endpoints.redisURL, options) {
                    try Self.require(nil, endpoints, settings)
                }
                let limit = error.kind == .loading ? 60_000 : patienceMilliseconds
                guard error.isTransient, ContinuousClock.now - began < .milliseconds(limit) else {
                    throw error
                }
            }
            _ = pause.wait(milliseconds: backoff.next())
        }
    }

    /// Whether a server answers that has no log.
    private static func isEmpty(_ url: String, _ options: RedisEventLog.Options) -> Bool {
        do { return try RedisEventLog.epoch(at: url, options: options) == nil } catch { return false }
    }

    /// Refuses a server that has no log, or another one than that of the data folder in which it was found.
    private static func require(
        _ found: String?, _ endpoints: Endpoints, _ settings: Settings
    ) throws(LogFailure) {
        let data = settings[Common.data] ?? Common.defaultData
        guard endpoints.pid != nil, let expected = RememberedLog(in: data)?.epoch, expected != found else {
            return
        }
        let place = (try? RedisLocation(url: endpoints.redisURL)).map { "\($0)" } ?? ""
        throw LogFailure(
            .otherLog, operation: "open", key: place,
            text: (found.map { "another log stands there, of epoch \($0)" }
                ?? "no log stands there any more: the server was emptied, or it is another one")
                + "; \(data) belongs to the log of epoch \(expected). Put a copy of Redis' data back before "
                + "anything else; the archive and the read models are what is left of the log, so keep them. "
                + "'reel up' says at its start what can be done without a copy")
    }

    /// An id for a new session whose partition is not halted: the given one where that is so, or where all
    /// are.
    func newSessionID(instead id: String) throws -> String {
        let halted = Set(try log.halts().list().map(\.partition))
        guard halted.count < log.partitioning.count else { return id }
        var id = id
        while halted.contains(log.partitioning.partition(of: id)) { id = RecordSettings.newSessionID() }
        return id
    }

    /// The server of the read models.
    func mongo() throws -> MongoPool { try MongoPool(MongoSettings(url: endpoints.mongodbURL)) }

    /// The database of the wrapped keys and sealed passwords.
    func vaultDatabase() throws -> MongoVault {
        MongoVault(try MongoPool(MongoSettings(url: endpoints.vaultURL)))
    }

    /// The key-encryption keys; the first one is made where nothing is wrapped by any yet.
    func ring() throws -> KeyRing {
        try KeyRing.open(folder: endpoints.keys, unlessNeeded: try vaultDatabase().wrappers)
    }

    /// A look at all keys, which makes none where all are gone.
    func keySweep() throws -> KeySweep {
        KeySweep(
            views: MongoReadModels(try mongo(), .all), vault: try vaultDatabase(),
            ring: try KeyRing.look(into: endpoints.keys), store: try log.open())
    }

    /// What dashboards ask.
    func queries() throws -> MongoQueries { MongoReadModels(try mongo(), .all).queries }

    /// The sealed files.
    func chunks() throws -> ChunkStore { try ChunkStore(root: endpoints.chunkStore) }

    /// Everything that touching content needs.
    /// - Parameter spoolLimitBytes: the quota of the spool; nil when there is none.
    func vault(spoolLimitBytes: Int? = nil) throws -> VaultAccess {
        VaultAccess(
            spool: try Spool(root: endpoints.spool, limitBytes: spoolLimitBytes), chunks: try chunks(),
            ring: try ring(), archive: try vaultDatabase().keys)
    }
}
