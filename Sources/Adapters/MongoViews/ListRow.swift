internal import Base
internal import Recording

/// What a list shows, and where it stands in the list's order.
protocol ListedModel {
    associatedtype Place
    var place: Place { get }
}

/// One row of a list: its place, which every document of the list has, and what is shown of it; nil when the
/// document is none of ours.
struct ListRow<Model: ListedModel> {
    let place: Model.Place
    let model: Model?
}

/// The place of a session in lists: by age, and by id among those of one age.
struct SessionPlace: Comparable {
    let createdAt: Timestamp
    let sessionID: String

    var listPlace: ListCursor.Place { .session(created_ms: createdAt.milliseconds, id: sessionID) }

    static func < (a: SessionPlace, b: SessionPlace) -> Bool {
        (a.createdAt, a.sessionID) < (b.createdAt, b.sessionID)
    }
}

extension SessionView: ListedModel {
    var place: SessionPlace { SessionPlace(createdAt: createdAt, sessionID: sessionID) }
}

extension ChunkView: ListedModel {
    var place: Int { sequenceNumber }
}

extension AuditView: ListedModel {
    var place: AuditCursor { AuditCursor(self) }
}
