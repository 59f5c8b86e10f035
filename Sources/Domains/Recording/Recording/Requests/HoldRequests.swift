package import Base

/// `POST /sessions/{id}/hold`: a case holds the session from now on.
package struct HoldRequest: RequestBody, Hashable {
    /// The case, 1 to 100 characters.
    package var caseName = ""
    /// Why, 1 to 500 characters.
    package var reason = ""

    /// Reads the object.
    package static func read(_ json: JSONValue) -> (HoldRequest, [Violation]) {
        var reader = RequestReader(json)
        var request = HoldRequest()
        if reader.isNoObject { return (request, reader.violations) }
        reader.read("case", into: &request.caseName, required: true)
        reader.read("reason", into: &request.reason, required: true)
        let rules =
            CaseText.violations(ofCase: request.caseName) + CaseText.violations(ofReason: request.reason)
        return (request, reader.finish(rules))
    }
}

/// `DELETE /sessions/{id}/hold`: a case holds the session no longer.
package struct LiftHoldRequest: RequestBody, Hashable {
    /// The case; may be left out where one alone holds the session.
    package var caseName: String?
    /// Why, 1 to 500 characters.
    package var reason = ""

    /// Reads the object.
    package static func read(_ json: JSONValue) -> (LiftHoldRequest, [Violation]) {
        var reader = RequestReader(json)
        var request = LiftHoldRequest()
        if reader.isNoObject { return (request, reader.violations) }
        reader.read("case", into: &request.caseName)
        reader.read("reason", into: &request.reason, required: true)
        let rules =
            (request.caseName.map(CaseText.violations(ofCase:)) ?? [])
            + CaseText.violations(ofReason: request.reason)
        return (request, reader.finish(rules))
    }
}
