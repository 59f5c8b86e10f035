internal import Base
internal import EventSourcing
internal import HTTPServer
internal import Recording
internal import Vault

/// `/sessions/{id}/statistics`, and `/statistics` of the whole system.
enum StatisticsResource {
    static let endpoints: [Endpoint] = [
        Endpoint(
            .get, "/sessions/{id}/statistics", .readStatistics, .statistics, .statisticsRead,
            answer: session),
        Endpoint(
            .get, "/statistics", .readSystemStatistics, .statistics, .statisticsRead, answer: system),
    ]

    private static func session(_ call: Call) throws -> Response {
        try call.requireNoParameters()
        _ = try call.session()
        guard let statistics = try call.core.reads.statistics(try call.sessionID(), from: call.source)
        else {
            throw SessionRejection.notFound
        }
        var writer = JSONWriter(reserving: 2048)
        statistics.encode(into: &writer)
        return .json(writer.bytes)
    }

    private static func system(_ call: Call) throws -> Response {
        try call.requireNoParameters()
        let totals = try call.core.totals.now(call.core)
        let space = try DiskSpace.of(call.core.parts.chunks.root)
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

    func now(_ core: Core) throws -> RecordingTotals {
        try kept.withLock { kept in
            let now = core.now().milliseconds
            if let kept, abs(now - kept.madeAt) < Self.lifetimeMilliseconds { return kept.totals }
            let totals = try core.queries.totals()
            kept = (totals, now)
            return totals
        }
    }
}
