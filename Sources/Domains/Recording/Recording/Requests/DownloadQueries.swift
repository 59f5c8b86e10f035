internal import Base

/// For which case and why recorded bytes or a key are taken out; either may be left out.
package struct Purpose: Sendable, Hashable {
    /// The case, 1 to 100 characters.
    package var caseName: String?
    /// Why, 1 to 500 characters.
    package var reason: String?
    package init(caseName: String? = nil, reason: String? = nil) {
        self.caseName = caseName
        self.reason = reason
    }

    init(_ reader: inout RequestParameters) {
        caseName = reader.text("case", rules: CaseText.violations(ofCase:))
        reason = reader.text("reason", rules: CaseText.violations(ofReason:))
    }
}

/// What of a chunk is downloaded.
package enum DownloadForm: String, Sendable, CaseIterable {
    /// The bytes as they were recorded.
    case original
    /// The file of the chunk store.
    case sealed
}

/// `GET /sessions/{id}/chunks/{chunk_id}/download`.
package struct ChunkDownloadQuery: Sendable, Hashable {
    /// Which bytes.
    package var form: DownloadForm
    /// What for.
    package var purpose: Purpose

    /// Reads the query's parameters.
    package init(_ parameters: [(name: String, value: String)]) throws(RequestFailure) {
        var reader = RequestParameters(parameters)
        form = reader.choice("form") ?? .original
        purpose = Purpose(&reader)
        try reader.finish()
    }
}

/// `GET /sessions/{id}/media`.
package struct MediaQuery: Sendable, Hashable {
    /// What for.
    package var purpose: Purpose

    /// Reads the query's parameters.
    package init(_ parameters: [(name: String, value: String)]) throws(RequestFailure) {
        var reader = RequestParameters(parameters)
        purpose = Purpose(&reader)
        try reader.finish()
    }
}

extension RequestParameters {
    /// A text with rules of its own.
    fileprivate mutating func text(_ name: String, rules: (String) -> [Violation]) -> String? {
        guard let text = text(name) else { return nil }
        for broken in rules(text) { refuse(broken.field, broken.rule) }
        return text
    }
}
