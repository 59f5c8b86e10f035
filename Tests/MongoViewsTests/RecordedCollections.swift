import MongoViews
import ReadModels
import Recording

@testable import MongoViews

/// The collections of recorded sessions, by name.
extension Collections {
    init(database: String, rebuild: String? = nil) {
        self.init(RecordingViews.all, database: database, rebuild: rebuild)
    }

    var sessions: MongoNamespace { self[RecordingViews.sessions] }
    var chunks: MongoNamespace { self[RecordingViews.chunks] }
    var pipeline: MongoNamespace { self[RecordingViews.pipeline] }
    var folds: MongoNamespace { self[RecordingViews.folds] }
    var audit: MongoNamespace { self[RecordingViews.audit] }
}

extension CollectionDeclaration {
    /// Field of the key of a collection, shown or built.
    static func key(of name: MongoNamespace) -> String {
        RecordingViews.all.collections.first { name.collection.hasSuffix($0.name) }?.key ?? ""
    }
}

extension PartitionTotals {
    /// What one session alone adds.
    init(of fold: SessionFold) { self.init(of: RecordingTotals.share(of: fold)) }
}
