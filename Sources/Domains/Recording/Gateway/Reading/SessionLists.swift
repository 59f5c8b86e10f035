internal import APIKit
internal import EventSourcing
internal import HTTPServer
internal import Recording
internal import Access

/// Lists of sessions: found and put in order by the read models, and shown as far as the log's facts allow.
///
/// For those who see only some sessions, every item is held against the facts, and totals count what passes.
/// For those who see all, what the log knows nothing of is left out, and what contradicts it comes from it.
final class SessionLists: Sendable {
    /// Sessions that one request may fold from their histories, because the facts in memory say nothing of
    /// them, or something else.
    private static let foldsPerRequest = 20
    /// Reads of one page, at most: what is left out leaves room for what follows.
    private static let readsPerPage = 20
    /// Places that are read at once, and that are gone past for one answer, at most.
    private static let placesPerRead = 20_000
    private static let placesPerRequest = 4_000_000

    private let queries: any RecordingQueries
    private let access: SessionAccess
    private let folds: SessionFolds
    private let contradictions: Contradictions

    init(
        _ queries: any RecordingQueries, _ access: SessionAccess, _ folds: SessionFolds,
        _ contradictions: Contradictions
    ) {
        self.queries = queries
        self.access = access
        self.folds = folds
        self.contradictions = contradictions
    }

    /// A page of the sessions that match.
    func page(_ filter: SessionFilter, limit: Int, from start: ListStart) throws -> SessionListResponse {
        guard filter.audience != nil else { return try unrestricted(filter, limit, start) }
        // Whose a deleted session was decides nothing any more.
        if filter.status == .deleted {
            return SessionListResponse(
                sessions: [], pagination: PaginationInfo(total: 0, limit: limit, offset: 0, hasNext: false))
        }
        if access.isCurrent == false {
            throw ErrorInfo(
                .dependencyUnavailable, "whose sessions there are is not known yet: try again",
                retryAfter: 1)
        }
        return try restricted(filter, limit, start)
    }

    private func unrestricted(
        _ filter: SessionFilter, _ limit: Int, _ start: ListStart
    ) throws -> SessionListResponse {
        var list = try queries.sessionList(filter, limit: limit, from: start)
        // Of deleted sessions no facts are kept.
        guard access.isCurrent == true, filter.status != .deleted else { return list }
        var check = Check(self, filter)
        list.sessions = try list.sessions.compactMap { try check.outcome($0).session }
        return list
    }

    // MARK: - For those who see some

    private func restricted(
        _ filter: SessionFilter, _ limit: Int, _ start: ListStart
    ) throws -> SessionListResponse {
        var place: ListCursor.Place?
        var total = 0
        var isEmpty = false
        // Where the read models alone say what matches, a list that ends is counted by what it shows.
        var isExact = false
        switch start {
        case .after(let cursor): (place, total) = (cursor.place, cursor.total)
        case .offset(let offset):
            let counted = filter.isOfOwnershipAlone ? access.count(where: filter.admits) : nil
            if let counted, offset == 0 {
                total = counted
            } else {
                let walk = try walk(filter, past: offset, countsAll: counted == nil)
                total = counted ?? walk.count
                isExact = counted == nil
                place = walk.place
                isEmpty = offset > 0 && walk.place == nil
            }
        }
        var page = isEmpty ? CheckedPage() : try collect(filter, limit + 1, behind: place)
        let hasNext = page.items.count > limit || page.isCut
        if page.items.count > limit {
            page.items.removeLast(page.items.count - limit)
            page.end = page.items.last?.place ?? page.end
        }
        let shown = start.offset + page.items.count
        if isExact, !hasNext, !isEmpty {
            total = shown
        } else if !page.items.isEmpty {
            // What is counted may be a moment behind what is listed.
            total = max(total, hasNext ? shown + 1 : shown)
        }
        return SessionListResponse(
            sessions: page.items.map(\.session),
            pagination: PaginationInfo(
                total: total, limit: limit, offset: start.offset, hasNext: hasNext,
                nextCursor: hasNext
                    ? page.end.map { ListCursor($0, shown: shown, total: total).text(of: filter.listName) }
                    : nil))
    }

    private struct CheckedPage {
        var items: [(session: SessionView, place: ListCursor.Place)] = []
        /// The last place that was looked at.
        var end: ListCursor.Place?
        /// Whether more may follow that was not looked at.
        var isCut = false
    }

    /// The next sessions that may be shown, as far as a bounded number of reads finds them.
    private func collect(
        _ filter: SessionFilter, _ wanted: Int, behind start: ListCursor.Place?
    ) throws -> CheckedPage {
        var page = CheckedPage()
        var check = Check(self, filter)
        page.end = start
        for _ in 0..<Self.readsPerPage {
            let most = wanted - page.items.count
            let from = page.end.map { ListStart.after(ListCursor($0, shown: 0, total: 0)) } ?? .offset(0)
            let found = try queries.sessions(filter, from: from, limit: most)
            for session in found {
                let outcome = try check.outcome(session)
                if case .later = outcome {
                    // Whoever goes on from here has the next ones looked at.
                    page.isCut = true
                    return page
                }
                page.end = session.listPlace
                if let shown = outcome.session { page.items.append((shown, session.listPlace)) }
            }
            if found.count < most || page.items.count == wanted { return page }
        }
        page.isCut = true
        return page
    }

    /// Goes past as many sessions as are to be skipped, and counts those that may be shown.
    /// - Returns: how many there are, as far as they were counted, and the place of the last one skipped; nil
    ///   where none was, or there are not so many.
    private func walk(
        _ filter: SessionFilter, past skipped: Int, countsAll: Bool
    ) throws -> (count: Int, place: ListCursor.Place?) {
        var (count, looked) = (0, 0)
        var place: ListCursor.Place?
        var end: ListCursor.Place?
        while looked < Self.placesPerRequest, countsAll || count < skipped {
            let found = try queries.sessionPlaces(filter, behind: end, limit: Self.placesPerRead)
            for one in found {
                end = one
                guard case .session(_, let id) = one, !id.isEmpty, try isShown(id, filter) else { continue }
                count += 1
                if count == skipped { place = one }
            }
            looked += found.count
            if found.count < Self.placesPerRead { break }
        }
        return (count, place)
    }

    private func isShown(_ session: String, _ filter: SessionFilter) throws -> Bool {
        // Where facts are kept in memory, what they know nothing of counts for nothing.
        let facts = access.isCurrent == nil ? try access.facts(of: session) : access.known(of: session)
        return facts.map { filter.admits($0.ownership) } ?? false
    }

    // MARK: - One by one

    private enum Outcome {
        case shown(SessionView)
        /// It may not be shown, or does not exist.
        case hidden
        /// One request asks no more of the log.
        case later

        var session: SessionView? { if case .shown(let view) = self { view } else { nil } }
    }

    /// Holds what the read models show against the facts, within what one request may ask of the log.
    private struct Check {
        private let lists: SessionLists
        private let filter: SessionFilter
        private var foldsLeft: Int
        private var seen: Set<String> = []

        init(_ lists: SessionLists, _ filter: SessionFilter) {
            self.lists = lists
            self.filter = filter
            // Without facts in memory each session is asked of the log.
            foldsLeft = lists.access.isCurrent == nil ? .max : SessionLists.foldsPerRequest
        }

        /// What becomes of a session that the read models show.
        mutating func outcome(_ view: SessionView) throws -> Outcome {
            if seen.contains(view.sessionID) { return .hidden }
            let outcome = try decide(view)
            if case .later = outcome { return .later }
            seen.insert(view.sessionID)
            return outcome
        }

        private mutating func decide(_ view: SessionView) throws -> Outcome {
            guard let facts = lists.access.known(of: view.sessionID) else { return try logged(view) }
            switch facts.agreement(with: view) {
            case .same: return filter.admits(facts.ownership) ? .shown(view) : .hidden
            case .contradicting: return try logged(view)
            case .behind:
                guard filter.admits(facts.ownership) else { return .hidden }
                // What calls itself old may be another session's description.
                if filter.audience != nil { return try logged(view) }
                // The projector will come to it; whose it is is known already.
                var view = view
                view.metadata.owner = facts.ownership.owner
                view.metadata.project = facts.ownership.project
                return .shown(view)
            }
        }

        private mutating func logged(_ view: SessionView) throws -> Outcome {
            guard foldsLeft > 0 else { return .later }
            foldsLeft -= 1
            do {
                let logged = try lists.folds.fold(of: view.sessionID)?.session
                lists.contradictions.note(view, logged)
                return logged.flatMap { filter.matches($0) ? .shown($0) : nil } ?? .hidden
            } catch let failure as any TransientFailure where failure.isTransient {
                throw failure
            } catch {
                // One that can't be read keeps nobody else from being shown.
                return .hidden
            }
        }
    }
}
