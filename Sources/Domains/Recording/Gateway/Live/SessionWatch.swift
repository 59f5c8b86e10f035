internal import APIKit
internal import Access
internal import Base
package import Engine
internal import EventSourcing
internal import Recording

extension StreamEnd {
    /// The session was deleted.
    static let sessionDeleted = StreamEnd("session_deleted")
}

extension LiveFilter {
    /// The history of one session. A record of the audit trail is no session's event, whatever id somebody
    /// asks for.
    package static func session(_ id: String) -> LiveFilter {
        LiveFilter(.history(id), hiding: AuditRecord.isHistory)
    }

    /// The whole log. Records of the audit trail are for those alone who may read them.
    package static func everything(includesAudit: Bool) -> LiveFilter {
        includesAudit ? LiveFilter(.everything) : LiveFilter(.everything, hiding: AuditRecord.isHistory)
    }
}

/// What may end a stream of events of sessions before the log does.
struct SessionWatch: StreamWatch {
    /// Whose stream it is.
    let subject: Subject
    let expires: Timestamp?
    /// The sequence up to which it was known whose the session is when access was granted; nil when
    /// everything is followed.
    let admittedAt: UInt64?

    /// Which cases hold a session is not for everybody.
    func hides(_ event: LiveEvent) -> Bool {
        SessionEvent.holdTypeNames.contains(event.type) && !subject.may(.readHolds)
    }

    func end(before event: LiveEvent) -> StreamEnd? {
        guard let admittedAt, event.sequence > admittedAt, event.type == "SessionUpdated",
            let metadata = (try? JSONValue(parsing: event.json))?["data"]?["metadata"],
            metadata.members != nil
        else { return nil }
        let ownership = Ownership(
            owner: metadata["owner"]?.string, project: metadata["project"]?.string)
        return subject.may(.readEvents, ownership) ? nil : .accessLost
    }

    func end(after event: LiveEvent) -> StreamEnd? {
        guard admittedAt != nil else { return nil }
        switch event.type {
        case "SessionDeleted": return .sessionDeleted
        // It may have given the session to somebody else: only who may read everybody's goes on.
        case LiveEvent.unreadableType: return subject.may(.readEvents) ? nil : .failed
        default: return nil
        }
    }
}
