import Console
import Recording
import ReadModels

/// What a replay shows while it works: one line that changes on a terminal, a line now and then elsewhere.
final class ReplayMeter {
    private let columns = Terminal.columns(of: .error)
    private var lastShown: ContinuousClock.Instant?
    private var isDrawn = false

    func show(_ progress: RebuildProgress, rate: Int) {
        let done = Quantity.grouped(progress.events)
        let all = Quantity.grouped(progress.total)
        show("\(progress.step.rawValue)  \(done) of \(all) events  \(Quantity.grouped(rate))/s")
    }

    func show(waitingFor other: RunningRebuild) {
        // It is at work for longer than a moment already.
        lastShown = lastShown ?? .now - .seconds(60)
        show("waiting for \(other.text)")
    }

    func show(compared: Int) {
        show("\(RebuildProgress.Step.comparing.rawValue)  \(Quantity.grouped(compared)) documents")
    }

    private func show(_ text: String) {
        let now = ContinuousClock.now
        let pause: Duration = columns == nil ? .seconds(5) : .milliseconds(100)
        guard let last = lastShown else {
            lastShown = now
            return
        }
        guard now - last >= pause else { return }
        lastShown = now
        guard let columns else { return Output.error("reel replay: \(text)") }
        isDrawn = true
        Output.error(bytes: Array("\r\(text.prefix(max(0, columns - 1)))\u{1B}[K".utf8))
    }

    /// Takes the line away.
    func clear() {
        if isDrawn { Output.error(bytes: Array("\r\u{1B}[K".utf8)) }
        isDrawn = false
    }
}
