import Base
import Console
import EventSourcing
import Glibc
import MongoViews
import Pipeline
import RecordingMongo
import RedisLog
import Supervision
import ChunkFiles
import Sealing

/// Where the parts of a system are.
struct Places {
    var redisURL: String
    var mongodbURL: String
    /// MongoDB with the vault's database.
    var vaultURL: String
    var spool: String
    var chunks: String
    var keys: String
    var archive: String

    init(
        redisURL: String, mongodbURL: String, vaultURL: String, spool: String, chunks: String, keys: String,
        archive: String
    ) {
        self.redisURL = redisURL
        self.mongodbURL = mongodbURL
        self.vaultURL = vaultURL
        self.spool = spool
        self.chunks = chunks
        self.keys = keys
        self.archive = archive
    }

    /// - Parameter data: the data folder, for what was not named.
    init(_ plan: SystemPlan, data: String, redisURL: String, mongodbURL: String, vaultURL: String) {
        self.redisURL = redisURL
        self.mongodbURL = mongodbURL
        self.vaultURL = vaultURL
        spool = plan.spool ?? DataFolder.spool(in: data)
        chunks = plan.chunkStore ?? DataFolder.chunks(in: data)
        keys = plan.keys ?? DataFolder.keys(in: data)
        archive = plan.archive ?? DataFolder.archive(in: data)
    }
}

/// The log, the read models and, as far as its roles need them, keys and folders, opened and checked. Each
/// process that runs roles has one.
final class OpenSystem: Sendable {
    /// Partitions of a log that is made when nobody said how many.
    static let usualPartitions = 256

    let choice: RoleChoice
    let log: RedisEventLog
    let views: MongoReadModels
    /// The database of keys and sealed passwords.
    let vaultDatabase: MongoVault
    /// Keys that cannot be had, as far as this process knows.
    let keyWatch = KeyWatch()
    let workers: Int
    let chaining: Bool
    let levels: [Codec: Int]
    let archiving: ArchivePolicy
    /// Milliseconds between two looks at what may be archived.
    let archivePause: Int
    /// Milliseconds between two looks for sessions whose retention has passed; 0 for none.
    let retentionPause: Int
    /// How sessions are verified in the background.
    let verification: VerificationPolicy
    /// What is known here of how far that is.
    let verificationFigures = VerificationFigures()
    /// Verifications by what they came to, as the log has them.
    let verificationCounts = VerificationCounts()
    /// The archive's files.
    let archive: FileSegmentStore
    /// Name of this process among the workers; new at every start.
    let instance: String
    let startedAt: Timestamp
    let report: Log
    /// How long nothing may run here yet, because somebody who lacks one of the domains may be at work.
    private let settlingMilliseconds: Int64
    /// Over the disks of spool and chunk store, as far as they were opened.
    let diskGuard: DiskGuard
    private let openedVault: VaultAccess?

    /// - Parameter command: the command that opens it, for the log's lines.
    init(_ choice: RoleChoice, _ plan: SystemPlan, _ places: Places, command: String) throws {
        self.choice = choice
        report = plan.log
        (workers, chaining, levels) = (plan.workers, plan.chaining, plan.levels)
        (archiving, archivePause) = (plan.archiving, plan.archivePause)
        retentionPause = plan.retentionPause
        verification = plan.verification
        let mongo = try MongoPool(MongoSettings(url: places.mongodbURL))
        let report = report
        views = MongoReadModels(
            mongo, .all, foreign: ForeignDocuments { report(.error, "read-models", "\($0); it is left out") })
        vaultDatabase = MongoVault(
            places.vaultURL == places.mongodbURL ? mongo : try MongoPool(MongoSettings(url: places.vaultURL)))
        try views.queries.ping()
        if choice.needsVault {
            for note in try vaultDatabase.prepare() {
                report(.warning, command, "\(note), which may keep keys out of it")
            }
        }
        // Before the log: what its archive alone has is taken back by whoever has the keys that vouch for it.
        let ring =
            choice.needsVault
            ? try KeyRing.open(folder: places.keys, unlessNeeded: vaultDatabase.wrappers) : nil
        archive = FileSegmentStore(root: places.archive, ring: ring)
        let expectation = try LogExpectation(
            data: plan.data, archive: archive, chunks: places.chunks, views)
        let isFresh: Bool
        (log, isFresh) = try Self.openLog(plan, archive, places, expectation, views, command)
        settlingMilliseconds = try log.hostedCategories().add(Domains.categories, isFresh: isFresh)
        try expectation.setAsideReadModels(of: log.epoch, views, report, command)
        Self.remember(log, in: plan.data, report, command)
        // Not before: whoever waits for the vault or the log comes by here every second.
        report(.info, command, "read models open", [("mongodb", mongo.host)])
        if let ring {
            openedVault = VaultAccess(
                spool: try Spool(root: places.spool, limitBytes: plan.spoolLimitBytes),
                chunks: try ChunkStore(root: places.chunks), ring: ring, archive: vaultDatabase.keys)
            report(
                .info, command, "vault open",
                [
                    ("spool", places.spool), ("chunks", places.chunks), ("keys", places.keys),
                    ("mongodb", vaultDatabase.host),
                ])
        } else {
            openedVault = nil
        }
        diskGuard = DiskGuard(
            paths: choice.needsVault ? [places.spool, places.chunks] : [], reserveBytes: plan.diskReserveBytes
        )
        startedAt = SystemClock().now()
        instance = ULID.make(at: startedAt)
    }

    /// Waits until nobody is at work who would pass over what is written here.
    func settle(_ stop: StopSignal) {
        guard settlingMilliseconds > 0 else { return }
        report(
            .info, "domains", "new to this log: waiting for processes that lack them to end",
            [("milliseconds", "\(settlingMilliseconds)")])
        stop.wait(milliseconds: Int(settlingMilliseconds))
    }

    /// Everything that touching content needs.
    func vault() throws -> VaultAccess {
        guard let openedVault else { throw NotOpened(roles: choice.text) }
        return openedVault
    }

    /// A role uses what its declaration does not ask for.
    private struct NotOpened: Error, CustomStringConvertible {
        let roles: String
        var description: String { "the vault was not opened for \(roles)" }
    }

    private static func openLog(
        _ plan: SystemPlan, _ archive: FileSegmentStore, _ places: Places, _ expectation: LogExpectation,
        _ views: MongoReadModels, _ command: String
    ) throws -> (log: RedisEventLog, isFresh: Bool) {
        let report = plan.log
        var options = RedisEventLog.Options()
        options.subscriptions = .all
        options.durability = plan.durability
        options.archive = archive
        options.notify = { notice in
            let (level, text) = notice.line
            report(level, "log", text)
        }
        var found = try RedisEventLog.epoch(at: places.redisURL, options: options)
        try expectation.require(found, at: "\(try RedisLocation(url: places.redisURL))", plan.decision)
        if found == nil, plan.decision == .fromArchive {
            let lost = try expectation.archived(partitions: plan.partitions)
            try RedisEventLog.recreate(
                places.redisURL, epoch: lost.epoch, partitions: lost.partitions, options: options)
            report(.warning, command, "making the log again from its archive", [("epoch", lost.epoch)])
            found = lost.epoch
        }
        // Before any role appends: what the read models have seen and the server lacks would be made anew.
        let log = try RedisEventLog.open(
            places.redisURL, createWith: plan.partitions ?? usualPartitions,
            remembered: try expectation.shown(of: found, views), options: options)
        let server = try log.inspect()
        report(
            server.isDurable ? .info : .warning, command, "event log open",
            [
                ("redis", "\(log.address)"), ("version", server.version),
                ("partitions", "\(log.partitioning.count)"), ("durability", server.durability),
            ])
        if let asked = plan.partitions, log.partitioning.count != asked {
            report(
                .warning, command, "the log keeps the partitions it was created with",
                [("partitions", "\(log.partitioning.count)"), ("asked", "\(asked)")])
        }
        return (log, found == nil)
    }
}

extension OpenSystem {
    /// Writes down, where there is a data folder, which log belongs to it.
    private static func remember(
        _ log: RedisEventLog, in data: String, _ report: Log, _ command: String
    ) {
        let now = RememberedLog(log)
        guard DataFolder(existing: data) != nil, RememberedLog(in: data) != now else { return }
        do throws(SystemFailure) { try now.write(in: data) } catch {
            report(.warning, command, "which log belongs to the data folder cannot be written down: \(error)")
        }
    }
}

extension RedisLogNotice {
    /// How the notice stands in the log.
    fileprivate var line: (LogLevel, String) {
        switch self {
        case .disconnected(let reason): (.warning, "connection lost: \(reason)")
        case .functionsReloaded: (.warning, "the server had lost Reel's functions; they were loaded again")
        case .groupRecreated(let group, let partitions):
            (
                .warning,
                "group \(group) had vanished in \(partitions) partitions and was made again from the log's start"
            )
        case .claimed(let group, let from, let entries):
            (.info, "group \(group): took over \(entries) entries of \(from)")
        case .entryMissing(let group, let position):
            (.error, "group \(group): pending entry \(position) is no longer in the log")
        case .entryMalformed(let group, let position, let text):
            (.error, "group \(group): entry \(position) does not follow the format and was parked: \(text)")
        case .partitionHalted(let partition, let reason):
            (.error, "partition \(partition) is halted: \(reason); see 'reel partitions lift --help'")
        case .partitionLifted(let partition, let text):
            (.warning, "partition \(partition) goes on: its halt was lifted by \(text)")
        case .logReplaced(let text):
            (
                .error,
                "\(text); nothing is read from it or written to it until the right one is back: look at the "
                    + "server and at REDIS_URL, and restore a backup of Redis' data if it is lost"
            )
        case .logReturned: (.info, "the right log is back")
        case .takenBack(let partition, let events, let from):
            (
                .warning,
                "partition \(partition): \(events) events behind \(from.entryID) were only in the archive and "
                    + "were taken back into the log"
            )
        case .serverRefuses(let text?): (.error, "\(text); what is there is read all the same")
        case .serverRefuses(nil): (.info, "the server takes writes again")
        case .settingsObjected(let text?): (.error, "\(text); nothing is appended until then")
        case .settingsObjected(nil): (.info, "the server's settings are right again")
        case .durabilityChanged(let text, let isWorse): (isWorse ? .error : .info, text)
        case .readsWait(let text): (.warning, "nobody acts on what came last until replicas have it: \(text)")
        case .archiveMended(let partition, let through):
            (
                .warning,
                "partition \(partition): what Redis says of its archive was damaged and was put right: archived "
                    + "up to \(through.entryID)"
            )
        case .memberRemoved(let group, let member): (.debug, "group \(group): removed member \(member)")
        }
    }
}
