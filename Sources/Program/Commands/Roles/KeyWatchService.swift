import Operations
import Base
import Console
import MongoViews
import Pipeline
import RecordingMongo
import Recording
import RedisLog
import Supervision

/// Looks whether every session's key can be had, and says when one cannot. Where many sessions are, a look
/// is spread, so that it takes a small part of the time; one that begins because the collection of keys is
/// another one goes through at once.
struct KeyWatchService: Service {
    let name = "keys"
    private let system: OpenSystem
    private static let lookMilliseconds = 5_000
    /// For how long a turn goes through pages, when nothing is suspected.
    private static let turnMilliseconds = 200
    private static let namedAtOnce = 10

    init(_ system: OpenSystem) { self.system = system }

    /// Of several processes those that remove what is deleted look; the others read what was found.
    private var isLooking: Bool { system.choice.names.contains(.storage) }

    func run(stop: StopSignal) throws {
        var told = ""
        var look: Look?
        repeat {
            do {
                if isLooking {
                    if look == nil { look = try Look(system) }
                    if let report = try look?.turn(Self.turnMilliseconds, stop) {
                        try system.vaultDatabase.keep(report)
                        tell(report)
                    }
                } else if let report = try system.vaultDatabase.report() {
                    tell(report)
                }
                told = ""
                system.keyWatch.note(failure: nil)
            } catch {
                look = nil
                system.keyWatch.note(failure: error)
                // Servers that are away are told of by those who need them.
                if told != "\(error)" { system.report(.warning, name, "keys cannot be looked at: \(error)") }
                told = "\(error)"
            }
        } while !stop.wait(milliseconds: Self.lookMilliseconds)
    }

    private func tell(_ report: MongoVault.Report) {
        let before = system.keyWatch.take(report)
        guard isLooking || before != nil else { return }
        let known = Set(before?.named ?? [])
        let fresh = report.named.filter { !known.contains($0) }
        for text in fresh.prefix(Self.namedAtOnce) { system.report(.error, name, text) }
        if fresh.count > Self.namedAtOnce {
            system.report(
                .error, name,
                "and more: \(report.count) keys are missing in all; 'reel keys check' names them")
        }
        if report.count == 0, let before, before.count > 0 {
            system.report(.info, name, "no key is missing any more")
        }
    }

    /// A look that goes on from turn to turn.
    private struct Look {
        private let system: OpenSystem
        private var sweep: KeySweep
        private var outline: MongoVault.Outline?

        init(_ system: OpenSystem) throws {
            self.system = system
            sweep = KeySweep(
                views: system.views, vault: system.vaultDatabase, ring: try system.vault().ring,
                store: try system.log.open())
        }

        /// Goes on for a while; answers a report when it has come to the end.
        mutating func turn(_ milliseconds: Int, _ stop: StopSignal) throws -> MongoVault.Report? {
            let now = try system.vaultDatabase.outline()
            let isSuspicious = outline.map { now.isOther(than: $0) } ?? true
            outline = now
            if isSuspicious { sweep.restart() }
            let deadline = ContinuousClock.now + .milliseconds(milliseconds)
            while try sweep.next() {
                if stop.isSet { return nil }
                if !isSuspicious, ContinuousClock.now >= deadline { return nil }
            }
            defer { sweep.restart() }
            return MongoVault.Report(
                time: SystemClock().now(), count: sweep.findings.count,
                named: sweep.findings.map(\.description))
        }
    }
}
