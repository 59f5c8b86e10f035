import Base
import Console
import EventSourcing
import MongoViews
import Pipeline
import RedisLog
import Supervision
import ChunkFiles

/// What is to be done where a log is expected and the server has none, or another one.
enum LogDecision {
    /// Nobody has decided: the start is refused.
    case none
    /// A new log begins, or the one that is there is taken; what speaks for another one is kept beside it.
    case newLog
    /// The log is made again from its archive.
    case fromArchive

    static let newLogFlag = Flag(
        "new-log",
        help: "Go on without the log that the data folder, the archive or the read models tell of: they are "
            + "kept beside the new one")
    static let fromArchiveFlag = Flag(
        "log-from-archive",
        help:
            "Make the log again from its archive, in a Redis that has lost it; what was not archived is lost")

    static let declarations = [newLogFlag.declaration, fromArchiveFlag.declaration]

    init(_ settings: Settings) throws(UsageError) {
        switch (settings[Self.newLogFlag], settings[Self.fromArchiveFlag]) {
        case (false, false): self = .none
        case (true, false): self = .newLog
        case (false, true): self = .fromArchive
        case (true, true):
            throw UsageError(
                ["--new-log and --log-from-archive exclude each other"], command: settings.command.name)
        }
    }
}

/// The log as this data folder remembers it: `log.json`.
struct RememberedLog: Equatable {
    var epoch: String
    var partitions: Int

    private static func path(_ data: String) -> String { "\(data)/log.json" }

    /// Nil where nothing is remembered, or nothing that can be read.
    init?(in data: String) {
        guard let text = try? FileText.read(Self.path(data)),
            let json = try? JSONValue(parsing: Array(text.utf8)), let epoch = json["epoch"]?.string,
            let partitions = json["partitions"]?.integer.flatMap({ Int(exactly: $0) })
        else { return nil }
        (self.epoch, self.partitions) = (epoch, partitions)
    }

    init(_ log: RedisEventLog) { (epoch, partitions) = (log.epoch, log.partitioning.count) }

    func write(in data: String) throws(SystemFailure) {
        var writer = JSONWriter()
        writer.object { json in
            json.member("epoch", epoch)
            json.member("partitions", partitions)
        }
        try FileText.write(writer.bytes + [0x0A], to: Self.path(data))
    }
}

/// What speaks for a log, beside the server that should have it. A start must not go past that in silence: it
/// may be all that is left of the log, or the server may be the wrong one.
struct LogExpectation {
    private let remembered: RememberedLog?
    private let readModels: String?
    private let archives: [String]
    private let sealedSessions: Int
    private let archiveRoot: String

    init(
        data: String, archive: FileSegmentStore, chunks: String, _ views: MongoReadModels
    ) throws {
        remembered = RememberedLog(in: data)
        readModels = try views.epoch()
        do throws(SegmentFailure) { archives = try archive.epochs() } catch {
            throw error.asLogFailure("look for archives")
        }
        archiveRoot = archive.root
        // A chunk store that is not there has nothing; opening it would make it.
        let isThere = DataFolder.absolute(chunks) != nil
        sealedSessions = isThere ? ((try? ChunkStore(root: chunks).sessions()) ?? []).count : 0
    }

    /// What is left of a log of another epoch, or of any where the server has none; empty where nothing is.
    private func traces(besides epoch: String?) -> [String] {
        var traces: [String] = []
        if let remembered, remembered.epoch != epoch {
            traces.append("this data folder belongs to the log of epoch \(remembered.epoch)")
        }
        if let readModels, readModels != epoch {
            traces.append("the read models show the log of epoch \(readModels)")
        }
        guard epoch == nil else { return traces }
        if !archives.isEmpty {
            traces.append("\(archiveRoot) has the archive of \(archives.joined(separator: ", "))")
        }
        if sealedSessions > 0 { traces.append("the chunk store has the files of \(sealedSessions) sessions") }
        return traces
    }

    /// Refuses a server that has no log, or another one, where one is expected and nobody has decided.
    func require(_ found: String?, at place: String, _ decision: LogDecision) throws {
        let traces = traces(besides: found)
        guard !traces.isEmpty, decision == .none else { return }
        let what = found.map { "holds the log of epoch \($0)" } ?? "holds no log"
        throw CommandFailure(
            .dependency,
            "Redis at \(place) \(what), and another one is expected: \(traces.joined(separator: "; ")). "
                + "Look whether it is the right server (REDIS_URL). If its data are gone, put back a copy of them "
                + "before anything else: the archive and the read models are what is left of the log, so keep "
                + "them. Where there is no copy, '--log-from-archive' makes the log again from the archive"
                + (found == nil ? "" : ", in a Redis without one")
                + "; '--new-log' goes on without it and keeps "
                + "everything beside the new one")
    }

    /// How far the read models have seen the log of an epoch: events that a server with it must have.
    func shown(of epoch: String?, _ views: MongoReadModels) throws -> [LogPosition] {
        guard let epoch, epoch == readModels else { return [] }
        return try views.progress(epoch: epoch).values.sorted()
    }

    /// The log that can be made again from its archive.
    func archived(partitions: Int?) throws -> RememberedLog {
        let epoch = remembered?.epoch ?? readModels ?? (archives.count == 1 ? archives[0] : nil)
        guard let epoch, archives.contains(epoch) else {
            throw CommandFailure(
                .dependency,
                "--log-from-archive: \(archiveRoot) has no archive of the log "
                    + (epoch.map { "of epoch \($0)" }
                        ?? "that was here; it has: \(archives.joined(separator: ", "))"))
        }
        if let remembered, remembered.epoch == epoch { return remembered }
        guard let partitions else {
            throw CommandFailure(
                .usage,
                "--log-from-archive: how many partitions the log had is not known; say so with --partitions")
        }
        return RememberedLog(epoch: epoch, partitions: partitions)
    }

    /// Read models of another log are kept under another name.
    func setAsideReadModels(of found: String, _ views: MongoReadModels, _ report: Log, _ command: String)
        throws
    {
        guard let readModels, readModels != found else { return }
        let place = try views.setAside(epoch: readModels)
        report(
            .warning, command, "the read models of another log were set aside",
            [("epoch", readModels), ("database", place)])
    }
}

extension RememberedLog {
    init(epoch: String, partitions: Int) { (self.epoch, self.partitions) = (epoch, partitions) }
}
