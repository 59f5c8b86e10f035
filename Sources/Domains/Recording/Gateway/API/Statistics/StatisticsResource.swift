internal import APIKit
internal import Base
internal import EventSourcing
internal import HTTPServer
internal import Recording
internal import Files

/// `/sessions/{id}/statistics`, and `/statistics` of the whole system.
struct StatisticsResource: Sendable {
    let service: SessionService
    let totals: Totals
    /// Folder of the sealed files.
    let chunkStore: String

    var endpoints: [Endpoint] {
        [
            Endpoint(
                .get, "/sessions/{id}/statistics", .readStatistics, .statistics, .statisticsRead,
                answer: session),
            Endpoint(
                .get, "/statistics", .readSystemStatistics, .statistics, .statisticsRead, answer: system),
        ]
    }

    private func session(_ call: Call) throws -> Response {
        try call.requireNoParameters()
        try service.session(call)
        guard let statistics = try service.reads.statistics(try call.sessionID(), from: call.source)
        else {
            throw SessionRejection.notFound
        }
        var writer = JSONWriter(reserving: 2048)
        statistics.encode(into: &writer)
        return .json(writer.bytes)
    }

    private func system(_ call: Call) throws -> Response {
        try call.requireNoParameters()
        let totals = try totals.now()
        let space = try DiskSpace.of(chunkStore)
        var writer = JSONWriter(reserving: 2048)
        SystemStatisticsResponse(
            totals,
            StorageCapacity(totalBytes: space.totalBytes, availableBytes: space.availableBytes)
        ).encode(into: &writer)
        return .json(writer.bytes)
    }
}

/// The sums over all sessions, which cost a walk over all of them: made at most once in five seconds, by one
/// request while others wait for it.
final class Totals: Sendable {
    private static let lifetimeMilliseconds: Int64 = 5000

    private let kept = Lock<(totals: RecordingTotals, madeAt: Int64)?>(nil)

    private let queries: any RecordingQueries
    private let clock: any WallClock

    init(_ queries: any RecordingQueries, _ clock: any WallClock) {
        self.queries = queries
        self.clock = clock
    }

    func now() throws -> RecordingTotals {
        try kept.withLock { kept in
            let now = clock.now().milliseconds
            if let kept, abs(now - kept.madeAt) < Self.lifetimeMilliseconds { return kept.totals }
            let totals = try queries.totals()
            kept = (totals, now)
            return totals
        }
    }
}
