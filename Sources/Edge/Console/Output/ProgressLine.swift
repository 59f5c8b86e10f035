internal import Base

/// How far long work has come, and how that looks on one line of a terminal.
package struct ProgressLine: Sendable {
    /// Bytes done.
    package var bytes = 0
    /// Bytes there are to do; nil when nobody knows (a stream).
    package var totalBytes: Int?
    /// Parts done.
    package var parts = 0
    /// Milliseconds since the start.
    package var elapsedMilliseconds = 0
    /// What is being done: `recording`.
    package var title: String
    /// What one part is called, and several.
    private let unit: (one: String, many: String)
    /// What is waited for just now; nil while work goes on.
    package var waitingFor: String?

    /// Nothing done yet.
    package init(_ title: String, of unit: (one: String, many: String), totalBytes: Int?) {
        self.title = title
        self.unit = unit
        self.totalBytes = totalBytes
    }

    /// Bytes a second so far; 0 before the clock moves.
    package var rate: Int {
        elapsedMilliseconds <= 0 ? 0 : Int(saturating: Double(bytes) * 1000 / Double(elapsedMilliseconds))
    }

    /// Seconds left at the rate so far; nil when it cannot be known.
    package var secondsLeft: Int? {
        guard let totalBytes, rate > 0 else { return nil }
        return max(0, totalBytes -| bytes +| (rate - 1)) / rate
    }

    /// Share that is done, 0 to 1; nil when the total is not known. Nothing to do is all done.
    package var share: Double? {
        guard let totalBytes else { return nil }
        return totalBytes <= 0 ? 1 : min(1, max(0, Double(bytes) / Double(totalBytes)))
    }

    /// The line in at most `columns` characters; time left while there is some to tell, else the time it
    /// took. What does not fit is left out, the bar first.
    package func render(columns: Int) -> String {
        var words: [String] = [title]
        let amount = totalBytes.map { "\(Quantity.bytes(bytes)) of \(Quantity.bytes($0))" }
        words.append(amount ?? Quantity.bytes(bytes))
        words.append("\(Quantity.grouped(parts)) \(parts == 1 ? unit.one : unit.many)")
        words.append("\(Quantity.bytes(rate))/s")
        if let waitingFor {
            words.append("waiting for \(waitingFor)")
        } else if let secondsLeft, bytes < totalBytes ?? 0 {
            words.append("\(Quantity.clock(seconds: secondsLeft)) left")
        } else {
            words.append(Quantity.clock(seconds: elapsedMilliseconds / 1000))
        }
        var line = words.joined(separator: "  ")
        if let share {
            let percent = "\(Int(saturating: share * 100))%"
            let width = min(30, columns - line.count - 10)
            if width >= 5 {
                let filled = min(width, Int(saturating: Double(width) * share))
                let bar =
                    String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
                let padded = String(repeating: " ", count: 4 - percent.count) + percent
                line = "\(title)  \(bar) \(padded)  " + words.dropFirst().joined(separator: "  ")
            }
        }
        return String(line.prefix(max(0, columns)))
    }
}
