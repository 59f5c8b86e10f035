internal import Base
internal import EventSourcing
internal import MongoViews
package import ReadModels
package import Recording
internal import Access

// How many sessions a filter matches. What has no criterion but the status stands in the kept sums; the rest
// is counted by the keys of one index of `folds` alone, in which everything stands that is asked about, so
// that no document is looked at. ops/decisions/lists.md has the figures.

extension MongoQueries {
    /// How many sessions the filter matches.
    package func sessionCount(_ filter: SessionFilter) throws(QueryFailure) -> Int {
        if filter.isHeld == false {
            // Free ones are all but the few that are held.
            var (all, held) = (filter, filter)
            (all.isHeld, held.isHeld) = (nil, true)
            if filter.caseName != nil { return 0 }
            return max(0, try sessionCount(all) - sessionCount(held))
        }
        let shares = SessionShare.of(filter)
        if let only = shares.first, shares.count == 1, only.isEverything {
            if let kept = try documents.keptTotals() {
                return kept.known.values.reduce(0) { sum, part in
                    sum +| only.statuses.reduce(0) { $0 +| (part.groups[$1.rawValue] ?? 0) }
                }
            }
            return try count(only.statusDocument, in: RecordingViews.sessions, hint: SessionList.byStatus)
        }
        var total = 0
        for share in shares {
            total +|= share.sign * (try count(share.document, in: RecordingViews.folds, hint: share.index))
        }
        return max(0, total)
    }
}

/// Sessions of which all criteria hold; what a filter matches is some of these added, others taken away.
struct SessionShare: Equatable {
    /// 1, or -1 for those that others have counted twice.
    var sign = 1
    var statuses: [SessionStatus]
    var owner: String?
    /// One of these projects; nil for any or none.
    var projects: [String]?
    var environment: String?
    var tag: String?
    var held = HeldCondition.any

    init(_ filter: SessionFilter) {
        statuses = filter.status.map { [$0] } ?? SessionStatus.allCases.filter { $0 != .deleted }
        owner = filter.owner
        projects = filter.project.map { [$0] }
        environment = filter.environment
        tag = filter.tag
        held = HeldCondition(filter)
    }

    /// The shares of a filter; none when nothing can match.
    static func of(_ filter: SessionFilter) -> [SessionShare] {
        let plain = SessionShare(filter)
        guard let audience = filter.audience else { return [plain] }
        // Its own, and those of its projects, without those that are both.
        var own = plain
        own.owner = audience.owner
        let isOwnAsked = audience.owner != nil && (filter.owner == nil || filter.owner == audience.owner)
        var shared = plain
        shared.projects =
            filter.project.map { audience.projects.contains($0) ? [$0] : [] }
            ?? audience.projects.sorted()
        let isShared = shared.projects?.isEmpty == false
        guard isOwnAsked else { return isShared ? [shared] : [] }
        guard isShared else { return [own] }
        var both = shared
        both.owner = audience.owner
        both.sign = -1
        return [own, shared, both]
    }

    /// Whether it is all sessions of some statuses.
    var isEverything: Bool {
        owner == nil && projects == nil && environment == nil && tag == nil && held == .any
    }

    var statusDocument: BSONDocument {
        BSONDocument { builder in
            builder.append("status") { $0.append("$in", array: statuses.map(\.rawValue)) }
        }
    }

    var document: BSONDocument {
        BSONDocument { builder in
            held.append(to: &builder, isOfFolds: true)
            if let tag { builder.append("session.metadata.tags", tag) }
            if let owner { builder.append("session.metadata.owner", owner) }
            if let projects {
                builder.append("session.metadata.project") { $0.append("$in", array: projects) }
            }
            if let environment { builder.append("session.metadata.environment", environment) }
            // Named one by one: what is not one value cannot be told from the index's keys.
            builder.append("session.status") { $0.append("$in", array: statuses.map(\.rawValue)) }
        }
    }

    /// An index that begins with one of the criteria and has all the others.
    var index: DocumentIndex {
        if held != .any { return RecordingViews.foldsByHold }
        if tag != nil { return RecordingViews.foldsByTag }
        if owner != nil { return RecordingViews.foldsByOwner }
        return projects != nil ? RecordingViews.foldsByProject : RecordingViews.foldsByEnvironment
    }
}
