internal import MongoViews
internal import ReadModels
internal import Recording
internal import Access

/// What a filter means to the database: the collection, the conditions and the index.
struct SessionList {
    static let byAge = DocumentIndex([("created_at", -1)])
    static let byStatus = DocumentIndex([("status", 1)])
    private static let criterionFields = ["metadata.project", "metadata.environment", "metadata.tags"]

    /// `sessions`, or `folds` where owners count.
    let name: String
    /// Whether it is `folds`, where a session stands under `session`.
    let isOfFolds: Bool
    /// Whether nothing can match.
    let isEmpty: Bool
    /// The index that has the whole order; nil when the server merges several, and in `sessions`.
    let hint: DocumentIndex?
    /// All conditions; deleted sessions are shown by their status alone.
    let shown: BSONDocument
    /// Each criterion that an index finds, the status included, with that index.
    let lookups: [(DocumentIndex, BSONDocument)]

    init(_ filter: SessionFilter) {
        let scope = Scope(filter)
        let held = HeldCondition(filter)
        let isOfFolds = scope != .everything || held == .held(filter.caseName)
        self.isOfFolds = isOfFolds
        isEmpty = scope == .nothing || held == .nothing
        name = isOfFolds ? RecordingViews.folds : RecordingViews.sessions
        let prefix = isOfFolds ? "session." : ""
        switch scope {
        // Those that are held are few, whosever they are.
        case _ where held == .held(filter.caseName): hint = RecordingViews.foldsByHold
        case .owner: hint = RecordingViews.foldsByOwner
        case .project: hint = RecordingViews.foldsByProject
        case .everything, .nothing, .either: hint = nil
        }
        let values = [filter.project, filter.environment, filter.tag]
        let given = zip(Self.criterionFields, values).compactMap { field, value in value.map { (field, $0) } }
        shown = BSONDocument { builder in
            scope.append(to: &builder)
            held.append(to: &builder, isOfFolds: isOfFolds)
            for (field, value) in given { builder.append(prefix + field, value) }
            if let status = filter.status {
                builder.append(prefix + "status", status.rawValue)
            } else {
                builder.append(prefix + "status") { $0.append("$ne", SessionStatus.deleted.rawValue) }
            }
            // What has no id is none of Reel's, and has no place in a list's order.
            builder.append(prefix + "session_id") { $0.append("$type", "string") }
        }
        var lookups = given.map { field, value in
            (DocumentIndex([(field, 1)]), BSONDocument { $0.append(field, value) })
        }
        if let status = filter.status {
            lookups.append((Self.byStatus, BSONDocument { $0.append("status", status.rawValue) }))
        }
        self.lookups = lookups
    }

    func field(_ name: String) -> String { isOfFolds ? "session.\(name)" : name }

    /// The newest first; of equal age, the one with the greater id.
    var order: BSONDocument {
        BSONDocument { builder in
            builder.append(field("created_at"), int32: -1)
            builder.append(field("session_id"), int32: -1)
        }
    }

    /// Those that come behind one in the list's order.
    func shown(behind time: Int64, _ id: String) -> BSONDocument {
        BSONDocument(extending: shown) { builder in
            builder.append("$and", array: [0]) { builder, key, _ in
                builder.append(key) { builder in
                    builder.append("$or", array: [false, true]) { builder, key, isOlder in
                        builder.append(key) { builder in
                            if isOlder {
                                builder.append(field("created_at")) { $0.append("$lt", date_ms: time) }
                            } else {
                                builder.append(field("created_at"), date_ms: time)
                                builder.append(field("session_id")) { $0.append("$lt", id) }
                            }
                        }
                    }
                }
            }
            // What the condition above says already; it bounds the index.
            builder.append(field("created_at")) { $0.append("$lte", date_ms: time) }
        }
    }

    /// Those made before a moment, if one is given; else all whose age is known.
    func shown(before time: Int64?) -> BSONDocument {
        BSONDocument(extending: shown) { builder in
            builder.append(field("created_at")) { builder in
                if let time {
                    builder.append("$lt", date_ms: time)
                } else {
                    builder.append("$gte", date_ms: .min)
                }
            }
        }
    }

    /// Those made after a moment.
    func shown(after time: Int64) -> BSONDocument {
        BSONDocument(extending: shown) { builder in
            builder.append("created_at") { $0.append("$gt", date_ms: time) }
        }
    }

    /// Those made at a moment, with ids below one, if one is given.
    func shown(at time: Int64, below id: String?) -> BSONDocument {
        BSONDocument(extending: shown) { builder in
            builder.append("created_at", date_ms: time)
            if let id { builder.append("session_id") { $0.append("$lt", id) } }
        }
    }
}

/// What a filter says of cases that hold sessions.
enum HeldCondition: Equatable {
    case any
    case free
    /// By this case; nil: by any.
    case held(String?)
    /// Free, and held by a case.
    case nothing

    init(_ filter: SessionFilter) {
        switch (filter.isHeld, filter.caseName) {
        case (nil, nil): self = .any
        case (false, nil): self = .free
        case (false, _): self = .nothing
        case (_, let name): self = .held(name)
        }
    }

    func append(to builder: inout BSONBuilder, isOfFolds: Bool) {
        switch self {
        case .any, .nothing: break
        case .free where isOfFolds: builder.append("is_held") { $0.append("$ne", true) }
        case .free: builder.append("reel.holds.0") { $0.append("$exists", false) }
        case .held(let name):
            builder.append("is_held", true)
            if let name { builder.append("session.reel.holds.case", name) }
        }
    }
}

/// Whose sessions a list may hold.
private enum Scope: Equatable {
    case everything
    case nothing
    case owner(String, isToo: Audience?)
    /// Of one project that the audience belongs to.
    case project
    case either(Audience)

    init(_ filter: SessionFilter) {
        guard let audience = filter.audience else {
            self = filter.owner.map { .owner($0, isToo: nil) } ?? .everything
            return
        }
        if let owner = filter.owner {
            self = .owner(owner, isToo: owner == audience.owner ? nil : audience)
        } else if let project = filter.project, audience.projects.contains(project) {
            self = .project
        } else if let own = audience.owner, audience.projects.isEmpty || filter.project != nil {
            // Of other people's projects it sees what it owns.
            self = .owner(own, isToo: nil)
        } else if audience.owner == nil, audience.projects.isEmpty || filter.project != nil {
            self = .nothing
        } else {
            self = .either(audience)
        }
    }

    func append(to builder: inout BSONBuilder) {
        switch self {
        case .everything, .nothing, .project: break
        case .owner(let owner, let audience):
            builder.append("session.metadata.owner", owner)
            if let audience { Self.append(audience, to: &builder) }
        case .either(let audience): Self.append(audience, to: &builder)
        }
    }

    private static func append(_ audience: Audience, to builder: inout BSONBuilder) {
        var branches = audience.projects.sorted().map { ("session.metadata.project", $0) }
        if let owner = audience.owner { branches.append(("session.metadata.owner", owner)) }
        if branches.isEmpty { branches.append(("session.session_id", "")) }
        builder.append("$or", array: branches) { builder, key, branch in
            builder.append(key) { builder in
                builder.append(branch.0, branch.1)
                // Always true. Without it the server takes the projects together into one search, which has
                // no order, while separate ones are merged in theirs.
                builder.append("session.created_at") { $0.append("$lte", date_ms: 253_402_300_799_999) }
            }
        }
    }
}
