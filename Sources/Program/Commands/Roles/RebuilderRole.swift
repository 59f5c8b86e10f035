import Operations
import Console
import Engine
import MongoViews
import Pipeline
import Recording
import RedisLog
import Supervision
import ReadModels

/// Builds the read models again, beside those that are shown, when they lack what nothing else can give them:
/// after the program was replaced by a newer one that keeps more sums, or when what is counted is not known
/// any more. Whoever of several processes is first does it; questions are answered all the time.
struct RebuilderRole {
    private let system: OpenSystem
    /// What was dropped is noticed within seconds; what else is missing is looked for more rarely.
    private static let lookMilliseconds = 1_000
    private static let wholeLookTurns = 30
    private static let retryMilliseconds = 5_000

    init(_ system: OpenSystem) { self.system = system }

    func run(stop: StopSignal) {
        var told = ""
        var turn = 0
        var pacing = RebuildPacing()
        let began = ContinuousClock.now
        func now() -> Int64 { Int64((ContinuousClock.now - began) / .milliseconds(1)) }
        while !stop.wait(milliseconds: Self.lookMilliseconds) {
            turn += 1
            // The projector has made the read models by then, where there were none.
            let isQuick = turn % Self.wholeLookTurns != 5
            do {
                guard
                    let shortcoming = try system.views.shortcoming(
                        epoch: system.log.epoch, isQuick: isQuick)
                else { continue }
                let left = pacing.left(before: "\(shortcoming)", at: now())
                if left > 0 {
                    let text =
                        "\(shortcoming), again and again: a program that shows other read models may run "
                        + "beside this one; they are built when it has ended, or in a while"
                    if told != text { system.report(.warning, "rebuilder", text) }
                    told = text
                    continue
                }
                try rebuild(shortcoming, stop)
                pacing.note("\(shortcoming)", at: now())
                told = ""
            } catch {
                // Another process is at it.
                switch error as? ProjectionFailure {
                case .held, .rebuilding: continue
                default: break
                }
                if told != "\(error)" {
                    system.report(.error, "rebuilder", "the read models were not built again: \(error)")
                }
                told = "\(error)"
                stop.wait(milliseconds: Self.retryMilliseconds)
            }
        }
    }

    /// The log lacks events: what is shown of them is not replaced.
    private struct LogIsShort: Error, CustomStringConvertible {
        let description =
            "partitions are halted, and the read models may be what is left of the events that they have lost"
    }

    private func rebuild(_ shortcoming: ReadModelShortcoming, _ stop: StopSignal) throws {
        var limits = MongoProjection.Limits()
        // Everything is catching up here.
        limits.catchUpBatch = 1
        limits.eventsHeld = 20_000
        let log = system.log
        let isShort = { try !log.survey().halted.isEmpty }
        if try isShort() { throw LogIsShort() }
        let rebuild = system.views.rebuild(
            .everything, epoch: system.log.epoch, log: try system.log.open(),
            programVersion: Program.version,
            worker: "the rebuilder of a running system (pid \(ProcessName.pid) on \(ProcessName.host))",
            limits: limits)
        do {
            let replay = try Replay(rebuild, scope: .everything, log: system.log, stop: stop)
            replay.isShort = isShort
            replay.remaining = { try log.groups().remaining(after: $0).reduce(0, +) }
            var isTold = false
            replay.onProgress = { _, _ in
                // Not before: another process may be at it.
                if !isTold {
                    system.report(.info, "rebuilder", "building the read models again: \(shortcoming)")
                }
                isTold = true
            }
            let outcome = try replay.run(verifyOnly: false)
            if outcome.isInterrupted { return try rebuild.suspend() }
            if outcome.isWithheld { throw LogIsShort() }
            system.report(
                .info, "rebuilder", "the new read models are in place",
                [("events", "\(outcome.events)"), ("differences", "\(outcome.comparison.differences)")])
            try CommandTrail(system.log, service: "rebuilder").keep(
                .replaySwap, on: AuditResource(.readModels), reason: "\(shortcoming)",
                details: ["differences": "\(outcome.comparison.differences)"])
        } catch {
            // What was built stays for the next try.
            try? rebuild.suspend()
            throw error
        }
    }
}
