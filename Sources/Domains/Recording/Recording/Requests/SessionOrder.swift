package import Base

/// A session to work with: one that there is, by its `session_id` alone, or a new one, by everything that
/// `POST /sessions` takes. Body of `POST /pipelines`.
package enum SessionOrder: RequestBody {
    /// The session of this id.
    case existing(String)
    /// One that is to be made.
    case new(CreateSessionRequest)

    /// Reads the object.
    package static func read(_ json: JSONValue) -> (SessionOrder, [Violation]) {
        read(json, isStream: false)
    }

    static func read(_ json: JSONValue, isStream: Bool) -> (SessionOrder, [Violation]) {
        guard case .object(let members) = json, members.count == 1, let only = members.first,
            only.name == "session_id"
        else {
            let (request, violations) = CreateSessionRequest.read(json, isStream: isStream)
            return (.new(request), violations)
        }
        var reader = RequestReader(json)
        var id = ""
        reader.read("session_id", into: &id, required: true)
        var rules = Rules()
        rules.require("session_id", Identifier.isValid(id), Identifier.rule)
        return (.existing(id), reader.finish(rules.violations))
    }
}
