import EventSourcing
import MongoViews
import Pipeline
import ReadModels
import Recording

extension SubscriptionRegistry {
    /// Everybody who reads the log and goes on where they stopped, in whatever process. No event leaves the
    /// log's server before those that hold it back have gone past it.
    static let all = recording + SubscriptionRegistry([MongoReadModels.subscription])
}

extension ViewSet {
    /// The read models of all domains.
    static let all = RecordingViews.all
}
