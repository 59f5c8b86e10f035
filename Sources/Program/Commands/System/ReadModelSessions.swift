import MongoViews
import Pipeline
import RecordingMongo
import Recording
import ReadModels

/// The recorder watch's view of the read models: which sessions are not stopped.
final class ReadModelSessions: OpenSessions {
    private let queries: MongoQueries

    init(_ queries: MongoQueries) { self.queries = queries }

    func openSessions(limit: Int) throws -> [String] {
        var ids: [String] = []
        for status in [SessionStatus.starting, .recording, .paused] where ids.count < limit {
            var filter = SessionFilter()
            filter.status = status
            ids += try queries.sessions(filter, Page(limit: limit - ids.count)).map(\.sessionID)
        }
        return ids
    }
}
