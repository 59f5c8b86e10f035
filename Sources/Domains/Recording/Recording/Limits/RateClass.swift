package import EventSourcing

/// Kinds of requests that are limited apart from each other, by subject and minute.
package enum RateClass: String, Sendable, CaseIterable {
    /// Making a session.
    case create
    /// Reading sessions, pipelines, events and the audit trail.
    case status
    /// Uploading, listing and downloading chunks and media.
    case chunks
    /// Requests that concern many sessions at once.
    case bulk
    /// Changing a session, and its start, pause, resume and stop.
    case update
    /// Deleting a session.
    case delete
    /// Controlling a pipeline.
    case pipeline
    /// Statistics.
    case statistics
    /// Requests that nobody was recognized for, by address.
    case unauthenticated

    /// How often in a minute unless configured otherwise.
    package var usualLimit: Int {
        switch self {
        case .create: 10
        case .status: 100
        case .chunks: 1000
        case .bulk: 5
        case .update: 50
        case .delete: 5
        case .pipeline: 20
        case .statistics: 60
        case .unauthenticated: 60
        }
    }

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
