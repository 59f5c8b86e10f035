package import EventSourcing

/// A kind of requests that is limited apart from others, by subject and minute. Domains may add their own.
package struct RateClass: Sendable, Hashable {
    /// Its name.
    package let rawValue: String
    /// How often in a minute unless configured otherwise.
    package let usualLimit: Int
    package init(_ rawValue: String, usually usualLimit: Int) {
        self.rawValue = rawValue
        self.usualLimit = usualLimit
    }

    /// Making something.
    package static let create = RateClass("create", usually: 10)
    /// Reading what is there, events and the audit trail.
    package static let status = RateClass("status", usually: 100)
    /// Requests that concern many things at once.
    package static let bulk = RateClass("bulk", usually: 5)
    /// Changing something.
    package static let update = RateClass("update", usually: 50)
    /// Deleting something.
    package static let delete = RateClass("delete", usually: 5)
    /// Statistics.
    package static let statistics = RateClass("statistics", usually: 60)
    /// Requests that nobody was recognized for, by address.
    package static let unauthenticated = RateClass("unauthenticated", usually: 60)

    /// Whether they have the same name.
    package static func == (a: RateClass, b: RateClass) -> Bool { a.rawValue == b.rawValue }
    /// Hashes the name.
    package func hash(into hasher: inout Hasher) { hasher.combine(rawValue) }

    /// What may be configured.
    package static let bounds = 1...10_000_000

    /// Name of the variable that configures it: `REEL_RATE_CREATE` …
    package var variable: String { "REEL_RATE_\(rawValue.uppercased())" }
}

/// The limits of all classes.
package struct RateLimits: Sendable, Hashable {
    private var limits: [RateClass: Int] = [:]

    /// The usual limits.
    package init() {}

    /// How often in a minute. A value outside `RateClass.bounds` is taken to the nearest bound.
    package subscript(_ kind: RateClass) -> Int {
        get { limits[kind] ?? kind.usualLimit }
        set { limits[kind] = min(max(newValue, RateClass.bounds.lowerBound), RateClass.bounds.upperBound) }
    }

    /// The rule of a class.
    package func rule(_ kind: RateClass) -> RateRule { RateRule(name: kind.rawValue, limit: self[kind]) }
}
