package import Base
internal import EventSourcing

/// The cases that hold a session: what setting and lifting a hold answers.
package struct HoldsResponse: Sendable, Hashable {
    /// The session.
    package var sessionID: String
    /// The cases, in the order in which they were set.
    package var holds: [LegalHold]

    /// The cases of a session.
    package init(_ session: SessionView) {
        sessionID = session.sessionID
        holds = session.holds
    }

    /// Writes the object.
    package func encode(into json: inout JSONWriter) {
        json.object { json in
            json.member("session_id", sessionID)
            json.member("is_held", !holds.isEmpty)
            holds.encode(into: &json)
        }
    }
}

extension [LegalHold] {
    /// Writes the member `holds`.
    func encode(into json: inout JSONWriter) {
        json.key("holds")
        json.array { list in for hold in self { hold.encode(into: &list) } }
    }
}
