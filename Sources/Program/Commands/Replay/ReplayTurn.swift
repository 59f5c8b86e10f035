import Base
import Console
import EventSourcing
import Recording
import Supervision
import ReadModels

/// Whose turn it is, while another replay has the lease. One that was killed is taken for running until its
/// lease ends, within seconds; one in which there is life renews it, and is not waited for unasked.
struct ReplayTurn {
    /// Whether one that is at work is waited for.
    let waits: Bool
    let stop: StopSignal
    let meter: ReplayMeter
    private var seen: RunningRebuild?
    private static let lookMilliseconds = 250

    init(waits: Bool, stop: StopSignal, meter: ReplayMeter) {
        (self.waits, self.stop, self.meter) = (waits, stop, meter)
    }

    /// Waits a little, because this one has the lease.
    /// - Throws: when it is at work and is not to be waited for, and when the wait is interrupted.
    mutating func wait(for other: RunningRebuild) throws {
        // It renewed its lease since the last look, or took it.
        let isAtWork = seen.map { $0.until != other.until } ?? false
        if isAtWork, !waits {
            throw CommandFailure(
                .dependency,
                "another replay is running: \(other.text); wait for it with --wait, or end it")
        }
        if seen == nil {
            Output.error(
                "reel replay: another one was at work: \(other.text); looking whether it still is, for "
                    + "\(max(1, (other.left_ms + 999) / 1_000)) s at most")
        } else if isAtWork {
            meter.show(waitingFor: other)
        }
        seen = other
        if stop.wait(milliseconds: Self.lookMilliseconds) {
            throw CommandFailure(.interrupted, "interrupted")
        }
    }
}

extension RunningRebuild {
    /// Who, since when, and how far: for people.
    var text: String {
        var parts = [worker]
        if let since { parts.append("since \(since.rfc3339)") }
        if let progress {
            let (done, all) = (Quantity.grouped(progress.events), Quantity.grouped(progress.total))
            parts.append(
                progress.percent.map {
                    "\(progress.step.rawValue), \($0)% (\(done) of \(all) events)"
                } ?? "\(progress.step.rawValue), \(done) events")
        }
        return parts.joined(separator: ", ")
    }
}
