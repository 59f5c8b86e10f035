internal import Base

/// One label of a sample.
package struct Label: Sendable, Hashable {
    /// Its name: letters, digits and underscores.
    package let name: String
    /// Its value, any text.
    package let value: String

    /// Takes both as they are.
    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// All figures of a process, written as Prometheus reads them (text format 0.0.4).
///
/// Asking for the same name and labels again answers the same instrument; keep it where it is used often.
package final class MetricsRegistry: Sendable {
    private enum Instrument {
        case counter(Counter)
        case gauge(Gauge)
        case histogram(Histogram)
        case reading(@Sendable () -> Double)

        var kind: String {
            switch self {
            case .counter: "counter"
            case .gauge, .reading: "gauge"
            case .histogram: "histogram"
            }
        }
    }

    private struct Family {
        let help: String
        let kind: String
        var members: [[Label]: Instrument] = [:]
    }

    private let families = Lock<[String: Family]>([:])

    /// What Prometheus wants to be told as the text's content type.
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// An empty registry.
    package init() {}

    /// The counter of this name and these labels. By convention the name ends in `_total`.
    package func counter(_ name: String, _ help: String, _ labels: [Label] = []) -> Counter {
        member(name, help, labels, make: { .counter(Counter()) }) {
            guard case .counter(let counter) = $0 else { return nil }
            return counter
        }
    }

    /// The gauge of this name and these labels.
    package func gauge(_ name: String, _ help: String, _ labels: [Label] = []) -> Gauge {
        member(name, help, labels, make: { .gauge(Gauge()) }) {
            guard case .gauge(let gauge) = $0 else { return nil }
            return gauge
        }
    }

    /// The histogram of this name and these labels; by convention the name ends in `_seconds`. Bounds
    /// are in nanoseconds.
    package func histogram(
        _ name: String, _ help: String, _ labels: [Label] = [], bounds: [UInt64] = Histogram.requestBounds
    ) -> Histogram {
        member(name, help, labels, make: { .histogram(Histogram(bounds: bounds)) }) {
            guard case .histogram(let histogram) = $0 else { return nil }
            return histogram
        }
    }

    /// A gauge whose figure is read whenever the text is written. The closure must not block long; a
    /// later one for the same name and labels takes the place of an earlier one.
    package func reading(
        _ name: String, _ help: String, _ labels: [Label] = [], _ read: @escaping @Sendable () -> Double
    ) {
        families.withLock {
            $0[name, default: Family(help: help, kind: "gauge")].members[labels] = .reading(read)
        }
    }

    private func member<Value: Sendable>(
        _ name: String, _ help: String, _ labels: [Label], make: () -> Instrument,
        _ cast: (Instrument) -> Value?
    ) -> Value {
        precondition(Self.isName(name), "\(name) is no name of a metric")
        precondition(labels.allSatisfy { Self.isName($0.name) && $0.name != "le" }, "bad label at \(name)")
        let instrument = families.withLock { families in
            let new = make()
            var family = families[name] ?? Family(help: help, kind: new.kind)
            let instrument = family.members[labels] ?? new
            family.members[labels] = instrument
            families[name] = family
            return instrument
        }
        guard let value = cast(instrument) else { preconditionFailure("\(name) is used as two kinds") }
        return value
    }

    /// Letters, digits, underscores and colons, no digit first.
    static func isName(_ name: String) -> Bool {
        guard let first = name.utf8.first, !(48...57).contains(first) else { return false }
        return name.utf8.allSatisfy {
            (97...122).contains($0) || (65...90).contains($0) || (48...57).contains($0) || $0 == 95
                || $0 == 58
        }
    }

    /// All figures as text, families and members in the order of their names.
    package func text() -> [UInt8] {
        var out = ""
        // Readings are called outside the lock: they may take locks of their own.
        for (name, family) in families.withLock({ $0 }).sorted(by: { $0.key < $1.key }) {
            out += "# HELP \(name) \(escaped(family.help, quotes: false))\n# TYPE \(name) \(family.kind)\n"
            let members = family.members.map { (text(of: $0.key), $0.key, $0.value) }
            for (_, labels, instrument) in members.sorted(by: { $0.0 < $1.0 }) {
                write(name, labels, instrument, to: &out)
            }
        }
        return Array(out.utf8)
    }

    private func write(_ name: String, _ labels: [Label], _ instrument: Instrument, to out: inout String) {
        switch instrument {
        case .counter(let counter): out += "\(name)\(text(of: labels)) \(counter.value)\n"
        case .gauge(let gauge): out += "\(name)\(text(of: labels)) \(gauge.value)\n"
        case .reading(let read): out += "\(name)\(text(of: labels)) \(number(read()))\n"
        case .histogram(let histogram):
            // One reading of the buckets, so that the last one and the count can't differ.
            let counts = histogram.cumulative
            for (index, count) in counts.enumerated() {
                let bound =
                    index < histogram.bounds.count ? number(Double(histogram.bounds[index]) / 1e9) : "+Inf"
                out += "\(name)_bucket\(text(of: labels + [Label("le", bound)])) \(count)\n"
            }
            out += "\(name)_sum\(text(of: labels)) \(number(Double(histogram.totalNanoseconds) / 1e9))\n"
            out += "\(name)_count\(text(of: labels)) \(counts.last ?? 0)\n"
        }
    }

    private func text(of labels: [Label]) -> String {
        guard !labels.isEmpty else { return "" }
        return "{" + labels.map { "\($0.name)=\"\(escaped($0.value, quotes: true))\"" }.joined(separator: ",")
            + "}"
    }

    private func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if let integer = Int64(exactly: value) { return String(integer) }
        return String(value)
    }

    private func escaped(_ text: String, quotes: Bool) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\"" where quotes: out += "\\\""
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }
}
