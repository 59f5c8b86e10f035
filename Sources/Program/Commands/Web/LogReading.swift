import Engine
import Metrics
import Pipeline
import Recording
import Supervision

/// What a process reads of the whole log, once, for all who ask its services: how far each session has come
/// and whose it is.
struct LogReading {
    let feed: LiveFeed
    let directory: SessionDirectory

    /// Nil where nobody asks for lists or events: whose requests are few asks the log about each session.
    init?(_ system: OpenSystem) {
        guard !system.choice.names.isDisjoint(with: [.api, .recorder]) else { return nil }
        directory = SessionDirectory(log: system.log, report: system.report.roles)
        var limits = LiveFeed.Limits()
        limits.isAsked = { !AuditRecord.isHistory($0) }
        feed = LiveFeed(log: system.log, limits: limits, listener: directory, report: system.report.roles)
    }

    /// In the order in which they start.
    var services: [any Service] { [feed, directory] }

    /// Adds figures to what a port's `/metrics` answers.
    func addFigures(to metrics: MetricsRegistry) {
        let (feed, directory) = (feed, directory)
        metrics.reading("reel_live_followers", "Followers of live events.") { Double(feed.counts.followers) }
        metrics.reading("reel_live_filling", "Followers that wait to be filled from the history.") {
            Double(feed.counts.filling)
        }
        metrics.reading("reel_live_events", "Events that the reader of the log has met.") {
            Double(feed.counts.events)
        }
        metrics.reading("reel_directory_sessions", "Sessions of which it is known in memory whose they are.")
        {
            Double(directory.sessionCount)
        }
        metrics.reading(
            "reel_directory_current",
            "1 while it is known whose every session is; lists of those who see only some wait for it."
        ) { directory.isLoaded && feed.isFollowing ? 1 : 0 }
    }
}
