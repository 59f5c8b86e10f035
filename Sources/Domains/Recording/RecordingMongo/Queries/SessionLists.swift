internal import Base
internal import EventSourcing
internal import MongoViews
package import ReadModels
package import Recording

// Lists of sessions, the newest first; of equal age, the one with the greater id. Which index serves which
// list is written down in ops/decisions/lists.md.

extension MongoQueries {
    /// Sessions from a place on, the newest first; fewer than asked for only at the list's end.
    package func sessions(
        _ filter: SessionFilter, from start: ListStart, limit: Int
    ) throws(QueryFailure) -> [SessionView] {
        var (found, start): ([SessionView], ListStart) = ([], start)
        while true {
            // Rows that do not read make room for others behind them.
            let most = found.isEmpty ? limit : max(limit - found.count, Self.rowsAgain)
            let rows = try rows(filter, start, most: most)
            found += rows.compactMap(\.model)
            guard found.count < limit, rows.count == most, let last = rows.last else {
                return Array(found.prefix(max(0, limit)))
            }
            start = .after(ListCursor(last.place.listPlace, shown: 0, total: 0))
        }
    }

    /// Rows of a further look, where some of the first did not read.
    private static var rowsAgain: Int { 100 }

    /// The places of sessions, by the keys of an index alone where whose sessions are shown is asked about.
    package func sessionPlaces(
        _ filter: SessionFilter, behind place: ListCursor.Place?, limit: Int
    ) throws(QueryFailure) -> [ListCursor.Place] {
        let list = SessionList(filter)
        if limit <= 0 || list.isEmpty { return [] }
        var query = MongoFind(filter: list.shown(before: nil), limit: Int64(limit), hint: list.hint)
        if case .session(let time, let id) = place { query.filter = list.shown(behind: time, id) }
        query.sort = list.order
        query.projection = BSONDocument { builder in
            builder.append("_id", int32: 0)
            builder.append(list.field("created_at"), int32: 1)
            builder.append(list.field("session_id"), int32: 1)
        }
        return try find(query, in: list.name) { (fields) throws(BSONError) in
            let fields = list.isOfFolds ? try fields.document("session") : fields
            return .session(
                created_ms: try fields.date_ms("created_at"), id: (try? fields.string("session_id")) ?? "")
        }
    }

    /// A page of sessions, the newest first, and where it lies.
    package func sessionList(
        _ filter: SessionFilter, limit: Int, from start: ListStart
    ) throws(QueryFailure) -> SessionListResponse {
        var found = try rows(filter, start, most: limit + 1)
        let hasNext = found.count > limit
        if hasNext { found.removeLast(found.count - limit) }
        let shown = start.offset +| found.count
        let total: Int
        if case .after(let cursor) = start {
            total = cursor.total
        } else {
            // What is counted is a moment behind what is listed.
            let counted = try sessionCount(filter)
            total = found.isEmpty ? counted : max(counted, hasNext ? shown + 1 : shown)
        }
        var next: String?
        if hasNext, let last = found.last {
            next = ListCursor(last.place.listPlace, shown: shown, total: total).text(of: filter.listName)
        }
        return SessionListResponse(
            sessions: found.compactMap(\.model),
            pagination: PaginationInfo(
                total: total, limit: limit, offset: start.offset, hasNext: hasNext, nextCursor: next))
    }

    private typealias Row = ListRow<SessionPlace, SessionView>

    private func rows(
        _ filter: SessionFilter, _ start: ListStart, most: Int
    ) throws(QueryFailure) -> [Row] {
        let list = SessionList(filter)
        if most <= 0 || list.isEmpty { return [] }
        if list.isOfFolds { return try sorted(list, list.hint, start, most) }
        if let rare = try rareCriterion(list, start.offset +| most) {
            return try sorted(list, rare, start, most)
        }
        return try byAge(list, start, most)
    }

    /// The index by which it is less work to fetch all that match and order them than to go through the
    /// sessions by age until enough of them match; nil when age is the way.
    private func rareCriterion(_ list: SessionList, _ wanted: Int) throws(QueryFailure) -> DocumentIndex? {
        let most = 10_000
        var best: (index: DocumentIndex, matches: Int)?
        for (index, criterion) in list.lookups {
            let matches = try count(criterion, in: list.name, hint: index, limit: Int64(most))
            if matches < best?.matches ?? most { best = (index, matches) }
        }
        guard let best else { return nil }
        let all = try documents.estimatedCount(of: list.name)
        // By age, one match is found in every all/matches sessions.
        return best.matches *| best.matches <= wanted *| all ? best.index : nil
    }

    /// By an index that either has the whole order, or finds few enough to be put in order.
    private func sorted(
        _ list: SessionList, _ hint: DocumentIndex?, _ start: ListStart, _ most: Int
    ) throws(QueryFailure) -> [Row] {
        var query = MongoFind(filter: list.shown(before: nil), limit: Int64(most), hint: hint)
        if case .after(let cursor) = start, case .session(let time, let id) = cursor.place {
            query.filter = list.shown(behind: time, id)
        } else {
            query.skip = Int64(start.offset)
        }
        query.sort = list.order
        return try find(query, list)
    }

    private func find(_ query: MongoFind, _ list: SessionList) throws(QueryFailure) -> [Row] {
        func session(_ fields: BSONFields) throws(BSONError) -> BSONFields {
            list.isOfFolds ? try fields.document("session") : fields
        }
        return try rows(query, in: list.name) { (fields) throws(BSONError) in
            let fields = try session(fields)
            return SessionPlace(
                createdAt: try fields.time("created_at"),
                // One without an id has its place all the same, behind all others of its time.
                sessionID: (try? fields.string("session_id")) ?? "")
        } _: { (fields) throws(BSONError) in
            try SessionView(try session(fields))
        }
    }

    // MARK: - By age

    /// By the index of ages, which does not tell sessions of one millisecond apart: where a page begins or
    /// ends between such, their order is looked up by itself.
    private func byAge(
        _ list: SessionList, _ start: ListStart, _ most: Int
    ) throws(QueryFailure) -> [Row] {
        var head: [Row] = []
        var tail: [Row] = []
        switch start {
        case .after(let cursor):
            guard case .session(let time, let id) = cursor.place else { return [] }
            head = try ofMoment(list, time, below: id, most: most)
            tail = try older(list, than: time, most: most - head.count + 1)
        case .offset(0): tail = try older(list, than: nil, most: most + 1)
        case .offset(let offset):
            // One more in front shows whether the page begins between sessions of one millisecond.
            tail = try older(list, than: nil, skip: offset - 1, most: most + 2)
            let before = tail.first
            tail = Array(tail.dropFirst())
            if let time = before?.place.createdAt.milliseconds,
                tail.first?.place.createdAt.milliseconds == time
            {
                let newer = try count(list.shown(after: time), in: list.name, hint: SessionList.byAge)
                head = try ofMoment(list, time, skip: offset - newer, most: most)
                tail = try older(list, than: time, most: most - head.count + 1)
            }
        }
        return head + (try settled(tail, list, most: most - head.count))
    }

    /// The first of these sessions in their full order; one more than wanted shows whether the last moment
    /// is cut.
    private func settled(
        _ found: [Row], _ list: SessionList, most: Int
    ) throws(QueryFailure) -> [Row] {
        var found = found
        if found.count > most {
            let beyond = found[most].place.createdAt
            found.removeLast(found.count - most)
            if most > 0, found[most - 1].place.createdAt == beyond {
                found.removeAll { $0.place.createdAt == beyond }
                found += try ofMoment(list, beyond.milliseconds, most: most - found.count)
            }
        }
        return found.sorted { $0.place > $1.place }
    }

    private func older(
        _ list: SessionList, than time: Int64?, skip: Int = 0, most: Int
    ) throws(QueryFailure) -> [Row] {
        var query = MongoFind(
            filter: list.shown(before: time), skip: Int64(skip), limit: Int64(most), hint: SessionList.byAge)
        query.sort = BSONDocument { $0.append("created_at", int32: -1) }
        return try find(query, list)
    }

    private func ofMoment(
        _ list: SessionList, _ time: Int64, below id: String? = nil, skip: Int = 0, most: Int
    ) throws(QueryFailure) -> [Row] {
        if most <= 0 { return [] }
        var query = MongoFind(
            filter: list.shown(at: time, below: id), skip: Int64(max(0, skip)), limit: Int64(most),
            hint: SessionList.byAge)
        query.sort = BSONDocument { $0.append("session_id", int32: -1) }
        return try find(query, list)
    }
}
