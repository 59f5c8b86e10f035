package import EventSourcing
package import ReadModels

/// Why a batch of events could not be projected. Nothing is ever skipped: whoever gets this asks for the
/// checkpoints again and goes on from there.
package enum ProjectionFailure: TransientFailure, Sendable, Equatable, CustomStringConvertible {
    /// An event cannot be taken in.
    case fold(FoldFailure)
    /// A history has to be read again for an event, and holds an entry that cannot be read.
    case unreadable(LogFailure, history: String, position: LogPosition)
    /// The database was dropped while the projection ran.
    case checkpointsLost(database: String)
    /// Collections or indexes were gone, which is said in these sentences. What could be made again was.
    case damaged([String])
    /// The read models were built from another log.
    case otherLog(database: String, found: String, expected: String)
    /// Later owners have these partitions.
    case fenced(subscription: String, partitions: [Int])
    /// A rebuild holds the read models, for as long as it takes to put others in their place.
    case held(by: String)
    /// Somebody else is rebuilding the read models.
    case rebuilding(RunningRebuild)
    /// The read models were replaced; what is kept in memory may come from the old ones.
    case replaced(database: String)
    /// A document of a history is not let in by a rule of the collection: somebody's unique index or
    /// validator, or its size. The position is that of the first event in it that is not stored.
    case refused(MongoFailure, key: String, position: LogPosition)
    /// The database failed.
    case database(MongoFailure)
    /// The log failed while a history was read again.
    case log(LogFailure)

    /// What has to happen before the same events may be applied.
    package var remedy: Remedy {
        switch self {
        case .checkpointsLost, .damaged, .fenced, .held, .rebuilding, .replaced: .time
        case .otherLog: .operators
        // An operator can put it right, and then asks for another try; until then others go on.
        case .unreadable, .refused: .none
        case .fold(let failure): failure.remedy
        case .database(let failure): failure.remedy
        case .log(let failure): failure.remedy
        }
    }

    /// What happened, to what, and what to do.
    package var description: String {
        switch self {
        case .fold(let failure): failure.description
        case .unreadable(let failure, let history, let position):
            "\(history): the event at \(position) needs an earlier one: \(failure)"
        case .checkpointsLost(let database):
            "the database \(database) was dropped; the read models are built again from the log"
        case .damaged(let sentences): sentences.joined(separator: "; ")
        case .otherLog(let database, let found, let expected):
            "the database \(database) shows the log of epoch \(found), this log is \(expected): one of the two "
                + "is not the right one; 'reel up' and 'reel serve' say at their start what to do"
        case .fenced(let subscription, let partitions):
            "\(subscription): "
                + partitions.map(LogPosition.partitionName).joined(separator: " ")
                + " belongs to a later owner, its checkpoint was not saved"
        case .held(let run):
            "the read models are being replaced by the rebuild \(run)"
        case .rebuilding(let other):
            "the read models are being rebuilt by \(other.worker)"
        case .replaced(let database):
            "the read models in \(database) were replaced by a rebuild; going on with the new ones"
        case .refused(let failure, let key, let position):
            "the document of \(key) with the event at \(position) is not let in: \(failure)"
        case .database(let failure): failure.description
        case .log(let failure): failure.description
        }
    }
}

extension ProjectionFailure {
    /// What happened and what to do, without where: for those who may not know that.
    package var summary: String {
        if case .database(let failure) = self { failure.summary } else { description }
    }

    /// Whether a checkpoint was refused because its partition has a later owner.
    package var isFenced: Bool {
        if case .fenced = self { true } else { false }
    }
}

extension ProjectionFailure: EventFailure {
    /// The place of the event that cannot be projected.
    package var position: LogPosition? {
        switch self {
        case .fold(let failure): failure.position
        case .unreadable(_, _, let position), .refused(_, _, let position): position
        case .checkpointsLost, .damaged, .otherLog, .fenced, .held, .rebuilding, .replaced,
            .database, .log:
            nil
        }
    }

    /// Whether the event can't be understood.
    package var isFinal: Bool {
        if case .fold(let failure) = self { failure.isFinal } else { false }
    }
}
