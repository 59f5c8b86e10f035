internal import Base
internal import EventSourcing
internal import Recording
internal import SessionContent
internal import Engine

/// What the log says of a session's content: read from its beginning once, and from then on what is new.
///
/// Where files are, what is in them and how they are sealed is asked of the log alone, and of nothing that is
/// derived from it: who can write the read models can't make a gateway give out anything else.
final class SessionContentCache: Sendable {
    /// A session as it was at one version. Never changes.
    final class Kept: Sendable {
        let history: SessionHistory
        /// All of the content, or why it can't be given out as a whole.
        let contents: Result<SessionContents, ContentFailure>

        private let madeTree = Lock<SessionTree?>(nil)

        init(_ history: SessionHistory) {
            self.history = history
            contents = Result { () throws(ContentFailure) in try history.contents() }
        }

        /// The session's closed tree, made when somebody asks for a proof.
        func tree() throws(ProofFailure) -> SessionTree {
            if let tree = madeTree.withLock({ $0 }) { return tree }
            let tree = try SessionTree(history)
            madeTree.withLock { $0 = tree }
            return tree
        }

        /// About the memory that it takes.
        var weight: Int { 2048 + 1500 * history.trails.count }
    }

    private static let readersAtOnce = 64

    private let store: StorePool
    private let kept: SharedCache<String, Kept>
    /// Who reads a session's history; others wait for what he finds.
    private let turns: [Lock<Void>.Holder]

    init(_ store: StorePool, bytesKept: Int) {
        self.store = store
        kept = SharedCache(limit: bytesKept) { $0.weight }
        turns = (0..<Self.readersAtOnce).map { _ in Lock<Void>.Holder() }
    }

    /// The session at a version or a later one; nil when the log has none of this id.
    func session(_ id: String, atLeast version: UInt64) throws -> Kept? {
        if let known = kept[id], known.history.version >= version { return known }
        let turn = turns[Int(UInt(bitPattern: id.hashValue) % UInt(turns.count))]
        return try turn.mutex.withLock { _ in
            let known = kept[id]
            if let known, known.history.version >= version { return known }
            var history = known?.history ?? SessionHistory(of: id)
            try history.catchUp(with: store)
            guard history.version > 0 else { return nil }
            let read = Kept(history)
            kept[id] = read
            return read
        }
    }
}

extension Lock where Value == Void {
    /// A lock that can stand in an array.
    fileprivate final class Holder: Sendable {
        let mutex = Lock(())
    }
}
