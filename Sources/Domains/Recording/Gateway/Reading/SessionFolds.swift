internal import Base
internal import EventSourcing
internal import Recording
internal import ReadModels
internal import Engine

/// Folds of sessions' histories, kept so that each is read on from where it ended.
final class SessionFolds: Sendable {
    private static let sessionsKept = 256

    private final class Place: Sendable {
        let fold = Lock<SessionFold?>(nil)
    }

    private let store: StorePool
    private let places = SharedCache<String, Place>(limit: sessionsKept)

    init(_ store: StorePool) { self.store = store }

    /// The fold of all of the session's events; nil when there is none.
    func fold(of session: String) throws -> SessionFold? {
        let place = places.value(of: session) { Place() }
        let fold = try place.fold.withLock { fold in
            try store.forEach(of: session, after: fold?.version ?? 0) { event in
                let fact = try RecordingEvent(event)
                let stamp = EventStamp(event)
                if fold == nil { fold = SessionFold(fact, stamp) } else { fold?.evolve(fact, stamp) }
            }
            return fold
        }
        if fold == nil { places[session] = nil }
        return fold
    }
}
