internal import Base
internal import Recording

/// The place of a session in lists: by age, and by id among those of one age.
struct SessionPlace: Comparable {
    let createdAt: Timestamp
    let sessionID: String

    var listPlace: ListCursor.Place { .session(created_ms: createdAt.milliseconds, id: sessionID) }

    static func < (a: SessionPlace, b: SessionPlace) -> Bool {
        (a.createdAt, a.sessionID) < (b.createdAt, b.sessionID)
    }
}
