package import Base
internal import EventSourcing

/// A case that holds a session: until it is lifted, nothing deletes the session or anything of its content.
package struct LegalHold: Sendable, Hashable {
    /// The case, as whoever set the hold calls it.
    package var caseName: String
    /// Why it was set.
    package var reason: String
    /// Who set it.
    package var setBy: String
    /// When it was set.
    package var setAt: Timestamp
    package init(caseName: String, reason: String, setBy: String, setAt: Timestamp) {
        self.caseName = caseName
        self.reason = reason
        self.setBy = setBy
        self.setAt = setAt
    }

    /// The most cases that hold one session at once.
    package static let maximumCases = 100

    /// Writes the object.
    package func encode(into json: inout JSONWriter) {
        json.object { json in
            json.member("case", caseName)
            json.member("reason", reason)
            json.member("set_by", setBy)
            json.member("set_at", setAt)
        }
    }
}

/// Texts that people give for holds, and for what is taken out: a case and a reason.
package enum CaseText {
    /// Lengths of the name of a case, in characters of Unicode.
    package static let caseLengths = 1...100
    /// Lengths of a reason, in characters of Unicode.
    package static let reasonLengths = 1...500

    /// The rules that the name of a case breaks.
    package static func violations(ofCase text: String) -> [Violation] {
        violations("case", text, caseLengths)
    }

    /// The rules that a reason breaks.
    package static func violations(ofReason text: String) -> [Violation] {
        violations("reason", text, reasonLengths)
    }

    /// Two cases must not look the same.
    private static func violations(
        _ field: String, _ text: String, _ lengths: ClosedRange<Int>
    ) -> [Violation] {
        var rules = Rules()
        rules.length(field, text, lengths)
        let ends = [text.unicodeScalars.first, text.unicodeScalars.last]
        rules.require(
            field, !ends.contains { $0?.properties.isWhitespace ?? false },
            "must not begin or end with a blank")
        return rules.violations
    }
}

/// The tag by which sessions were held before holds were events of their own.
///
/// Sessions that have it are taken over once, each by an event, when the log is at the level that knows
/// holds. Until then the tag keeps a session as a case would; from then on it means nothing.
package enum HoldTag {
    /// The tag.
    package static let name = "legal-hold"
    /// The case by which a session is held that had the tag.
    package static let caseName = "legal-hold tag"
    /// Why it is.
    package static let reason = "the session had the tag legal-hold when holds became a right of their own"
}
