/// Something that runs until it is told to stop: a role, a server, a loop of workers.
package protocol Service: Sendable {
    /// For messages and the thread's name.
    var name: String { get }

    /// Runs, blocking its own thread, until `stop` is set; then finishes what it has in hand and
    /// returns. To return before `stop` is set is a failure, for nobody would notice that the work is
    /// no longer done; to throw is one at any time.
    func run(stop: StopSignal) throws

    /// Blocks until the service can be used, so that the next one may start; returns early when `stop`
    /// is set. By default a service is ready as soon as it is started.
    func waitUntilReady(stop: StopSignal)
}

extension Service {
    /// Ready at once.
    package func waitUntilReady(stop: StopSignal) {}
}

/// What went wrong in a group; the first problem is the one that made it stop.
package struct ServiceGroupFailure: Error, CustomStringConvertible {
    /// One service's part in it.
    package enum Problem: Sendable, CustomStringConvertible {
        /// Its `run` threw.
        case threw(service: String, any Error)
        /// Its `run` returned though nobody had asked.
        case returned(service: String)
        /// It did not return in time after it was told to stop.
        case stuck(service: String, milliseconds: Int)

        /// In words.
        package var description: String {
            switch self {
            case .threw(let service, let error): "\(service) failed: \(error)"
            case .returned(let service): "\(service) ended although nobody asked it to"
            case .stuck(let service, let milliseconds): "\(service) did not stop within \(milliseconds) ms"
            }
        }
    }

    /// The problems in the order they came up; never empty.
    package let problems: [Problem]

    /// All problems, one a line.
    package var description: String { problems.map(\.description).joined(separator: "\n") }
}

/// Runs services together: all or none. They start in order, each when the one before is ready, and
/// stop in reverse order, each when the one after has returned, so that nobody loses what it depends on
/// while it still works.
package struct ServiceGroup: Sendable {
    private let services: [any Service]
    private let stopWithinMilliseconds: Int

    /// `stopWithinMilliseconds` is for all services together, from the first one told to stop to the
    /// last one's return.
    package init(_ services: [any Service], stopWithinMilliseconds: Int = 20_000) {
        self.services = services
        self.stopWithinMilliseconds = stopWithinMilliseconds
    }

    /// Blocks until `stop` is set and every service has returned: then it returns. When a service
    /// throws or returns unasked, the others are stopped and the failure is thrown; a service that
    /// can't be stopped in time is left on its thread and named in the failure.
    package func run(stop: StopSignal) throws(ServiceGroupFailure) {
        let run = GroupRun(stop)
        var signals: [StopSignal] = []
        for (index, service) in services.enumerated() where !run.interrupted.isSet {
            let signal = StopSignal()
            signals.append(signal)
            run.start(service, index, signal)
            service.waitUntilReady(stop: run.interrupted)
        }
        // With no service at all there is still somebody to wait for: whoever sets `stop`.
        run.interrupted.wait()
        let deadline = monotonicMilliseconds() + stopWithinMilliseconds
        var stuck: [ServiceGroupFailure.Problem] = []
        for (index, signal) in signals.enumerated().reversed() {
            let left = max(0, deadline - monotonicMilliseconds())
            if !run.end(index, signal, milliseconds: left) {
                stuck.append(.stuck(service: services[index].name, milliseconds: stopWithinMilliseconds))
            }
        }
        let problems = run.problems + stuck
        if !problems.isEmpty { throw ServiceGroupFailure(problems: problems) }
    }
}

/// One run of a group: who has been asked to end, who has ended and how.
private final class GroupRun: Sendable {
    private struct Ended {
        var indices: Set<Int> = []
        var asked: Set<Int> = []
        var problems: [ServiceGroupFailure.Problem] = []
    }

    /// Set when the group is to stop, for whichever reason.
    let interrupted = StopSignal()
    private let stop: StopSignal
    private let ended = Monitor(Ended())

    init(_ stop: StopSignal) {
        self.stop = stop
        stop.whenSet { [interrupted] in interrupted.set() }
    }

    var problems: [ServiceGroupFailure.Problem] { ended.withLock { $0.problems } }

    func start(_ service: any Service, _ index: Int, _ signal: StopSignal) {
        do {
            try startThread(name: service.name) {
                do {
                    try service.run(stop: signal)
                    self.finished(index, self.wasAsked(index) ? nil : .returned(service: service.name))
                } catch {
                    self.finished(index, .threw(service: service.name, error))
                }
            }
        } catch {
            finished(index, .threw(service: service.name, error))
        }
    }

    /// Tells a service to end; whether it did within the limit.
    func end(_ index: Int, _ signal: StopSignal, milliseconds: Int) -> Bool {
        ended.withLock { _ = $0.asked.insert(index) }
        signal.set()
        return ended.wait(milliseconds: milliseconds) { $0.indices.contains(index) ? true : nil } ?? false
    }

    /// A service that looks at the group's own signal may end before it is told to.
    private func wasAsked(_ index: Int) -> Bool {
        stop.isSet || ended.withLock { $0.asked.contains(index) }
    }

    private func finished(_ index: Int, _ problem: ServiceGroupFailure.Problem?) {
        ended.update { ended in
            ended.indices.insert(index)
            if let problem { ended.problems.append(problem) }
        }
        interrupted.set()
    }
}
