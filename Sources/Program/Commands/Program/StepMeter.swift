import Console

/// One line on the terminal that counts steps of long work; nothing where there is no terminal.
struct StepMeter {
    private let title: String
    private let unit: String
    private let columns = Terminal.columns(of: .error)
    private var lastDrawn: ContinuousClock.Instant?

    init(_ title: String, unit: String) {
        self.title = title
        self.unit = unit
    }

    /// Shows how many steps are done; ten times a second at most.
    mutating func show(_ done: Int, of total: Int) {
        guard let columns else { return }
        let now = ContinuousClock.now
        if done < total, let lastDrawn, now - lastDrawn < .milliseconds(100) { return }
        lastDrawn = now
        let text = "\(title)  \(Quantity.grouped(done)) of \(Quantity.grouped(total)) \(unit)"
        Output.error(bytes: Array("\r\(text.prefix(max(0, columns - 1)))\u{1B}[K".utf8))
    }

    /// Takes the line away.
    mutating func clear() {
        guard lastDrawn != nil else { return }
        Output.error(bytes: Array("\r\u{1B}[K".utf8))
        lastDrawn = nil
    }
}
