import Operations
import Console
import Engine
import EventSourcing
import Glibc
import MongoViews
import Pipeline
import RedisLog
import Recording
import Supervision
import ReadModels

/// `reel replay`: builds the read models again from the log.
enum ReplayCommand: Command {
    /// Those that are shown.
    private static let collections = ViewSet.all.collections.filter { !$0.isInternal }.map(\.name)
    static let collection = Setting(
        "collection", "C", .oneOf(collections), defaultNote: "all of them",
        help: "Only this collection: \(collections.joined(separator: ", "))")
    static let session = Setting(
        "session", "ID", .identifier, defaultNote: "all of them", help: "Only this session")
    static let verify = Flag(
        "verify", help: "Only compare and list what differs; change nothing")
    static let until = Setting(
        "until", "MOMENT", Rule.moment,
        help: "With --session: show it as it was then, and change nothing. A time, a place in the log, or a "
            + "version")
    static let wait = Flag(
        "wait", help: "While another replay is at work, wait for its end, and show how far it is")

    static let declaration = CommandDeclaration(
        "replay", summary: "Build the read models again from the log",
        details: "Builds them beside those that are shown, compares both document by document, and then puts "
            + "the new ones in place of the old, all at once, while everything goes on. Nothing but the read "
            + "models is touched. Interrupted or killed, the next run goes on where this one ended. Where "
            + "nothing differs, nothing is changed. An entry that cannot be read is listed and ends its own "
            + "session there; where the read models know more than the log tells now, they stay. There is "
            + "one replay at a time: what one that was killed had built is taken over within seconds; one "
            + "that is at work is named, with how far it is.",
        options: [
            collection.declaration, session.declaration, verify.declaration, until.declaration,
            wait.declaration, Common.json.declaration,
        ] + Common.places,
        examples: [
            "reel replay", "reel replay --verify", "reel replay --collection chunks",
            "reel replay --session sess-01JD2Y0Q6W8R9T3V5X7Z1B4C6D",
            "reel replay --session sess-01JD2Y0Q6W8R9T3V5X7Z1B4C6D --until 2026-11-21T00:53:58Z",
        ],
        statuses: [
            "1  an entry of the log could not be read or understood, and was listed; with --verify also: "
                + "something differs, or could not be decided; there is no such session",
            Common.usageStatus,
            "3  no running system, its servers cannot be used, or another replay is at work (see --wait)",
        ])

    static func run(_ settings: Settings) throws -> ExitStatus {
        let scope = try scope(settings)
        let system = try RunningSystem(settings, for: .deriving)
        if let moment = settings[until], case .history(let id) = scope {
            let found = try SessionThen.find(id, moment, system)
            try settings[Common.json]
                ? Output.line(ReplayReport.json(found)) : ReplayReport.print(found)
            return .success
        }
        let store = try system.log.open()
        if case .history(let id) = scope, try store.version(of: id) == 0 {
            throw CommandFailure(.no, "there is no session \(id)")
        }
        let stop = StopSignal()
        try SignalWatcher.start(stop)
        var limits = MongoProjection.Limits()
        // Everything is catching up here.
        limits.catchUpBatch = 1
        limits.eventsHeld = 20_000
        let rebuild = MongoReadModels(try system.mongo(), .all).rebuild(
            scope, epoch: system.log.epoch, log: store, programVersion: Program.version,
            worker: worker(scope),
            limits: limits)
        let meter = ReplayMeter()
        defer { meter.clear() }
        rebuild.onCompared = { meter.show(compared: $0) }
        var turn = ReplayTurn(waits: settings[wait], stop: stop, meter: meter)
        let outcome = try run(rebuild, scope, system, &turn, verifyOnly: settings[verify])
        meter.clear()
        if outcome.isSwapped {
            try CommandTrail(system.log).keep(
                .replaySwap, on: AuditResource(.readModels), session: scope.session,
                details: ["scope": scope.text, "differences": "\(outcome.comparison.differences)"])
        }
        let report = ReplayReport(
            scope: scope, outcome: outcome, isResumed: rebuild.isResumed, isVerifying: settings[verify])
        if settings[Common.json] { try Output.line(report.json) } else { try report.print() }
        if outcome.isInterrupted { throw CommandFailure(.interrupted, "interrupted; run it again to go on") }
        let isClean = outcome.comparison.differences == 0 && outcome.comparison.unsettled == 0
        return outcome.isComplete && !outcome.isWithheld && (isClean || !settings[verify]) ? .success : .no
    }

    /// Whether a partition of the scope has lost events, and nobody has accepted that.
    private static func isShort(_ scope: RebuildScope, _ log: RedisEventLog) throws -> Bool {
        let halted = try log.survey().halted.map(\.partition)
        guard let session = scope.session else { return !halted.isEmpty }
        return halted.contains(log.partitioning.partition(of: session))
    }

    private static func run(
        _ rebuild: MongoRebuild, _ scope: RebuildScope, _ system: RunningSystem, _ turn: inout ReplayTurn,
        verifyOnly: Bool
    ) throws -> Replay.Outcome {
        let meter = turn.meter
        while true {
            do {
                let replay = try Replay(rebuild, scope: scope, log: system.log, stop: turn.stop)
                replay.onProgress = { meter.show($0, rate: $1) }
                replay.isShort = { try isShort(scope, system.log) }
                replay.remaining = { try system.log.groups().remaining(after: $0).reduce(0, +) }
                let outcome = try replay.run(verifyOnly: verifyOnly)
                if outcome.isInterrupted {
                    // A run that goes on would not meet again what could not be read.
                    if outcome.isComplete { try rebuild.suspend() } else { try rebuild.discard() }
                }
                return outcome
            } catch ProjectionFailure.rebuilding(let other) where rebuild.id.isEmpty {
                try turn.wait(for: other)
            } catch ProjectionFailure.rebuilding(let other) {
                throw CommandFailure(
                    .dependency,
                    "this replay said nothing for so long that another one has taken it over: \(other.text)")
            } catch {
                // What was built stays for the next run; when that can't be noted its lease ends by itself.
                try? rebuild.suspend()
                throw error
            }
        }
    }

    private static func scope(_ settings: Settings) throws -> RebuildScope {
        let name = settings[collection]
        let id = settings[session]
        var problems: [String] = []
        if name != nil, id != nil { problems.append("--collection and --session cannot be used together") }
        if settings[until] != nil, id == nil { problems.append("--until needs --session ID") }
        if settings[until] != nil, settings[verify] {
            problems.append("--until and --verify cannot be used together")
        }
        guard problems.isEmpty else { throw UsageError(problems, command: "replay") }
        if let id { return .history(id) }
        return name.map { .collection($0) } ?? .everything
    }

    /// What others are told of this process.
    private static func worker(_ scope: RebuildScope) -> String {
        let what =
            switch scope {
            case .everything: ""
            case .collection(let name): " --collection \(name)"
            case .history(let id): " --session \(id)"
            }
        return "reel replay\(what) (pid \(ProcessName.pid) on \(ProcessName.host))"
    }
}

extension RebuildScope {
    /// As records of the audit trail name it.
    fileprivate var text: String {
        switch self {
        case .history(let id): "session(\"\(id)\")"
        case .everything, .collection: "\(self)"
        }
    }

    fileprivate var session: String? {
        if case .history(let id) = self { return id }
        return nil
    }
}
