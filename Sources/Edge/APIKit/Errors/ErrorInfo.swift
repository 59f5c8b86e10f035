package import Base
package import HTTPServer

/// A number that an error's details have beside what all errors have.
package struct ErrorDetail: Sendable, Hashable {
    /// Its name.
    package var name: String
    /// Its value.
    package var value: Int
    package init(_ name: String, _ value: Int) {
        self.name = name
        self.value = value
    }
}

/// What went wrong with a request, as it is answered: `ErrorInfo` in an `ErrorResponse`.
package struct ErrorInfo: Error, Sendable, Hashable, CustomStringConvertible {
    /// Which kind of error.
    package var code: ErrorCode
    /// The HTTP status.
    package var status: Int
    /// What happened, in a sentence of at most 500 characters.
    package var message: String
    /// Every field that breaks a rule.
    package var violations: [Violation]
    /// Whole seconds after which trying again makes sense.
    package var retryAfter: Int?
    /// More for whoever asked.
    package var details: [ErrorDetail]

    /// An error.
    /// - Parameter status: a closer one than the code's, such as 405 or 416 with `malformedRequest`.
    package init(
        _ code: ErrorCode, _ message: String, status: Int? = nil, violations: [Violation] = [],
        retryAfter: Int? = nil, details: [ErrorDetail] = []
    ) {
        self.code = code
        self.status = status ?? code.status
        self.message = Self.bounded(message, 500)
        self.violations = violations
        self.retryAfter = retryAfter
        self.details = details
    }

    /// Fields that break their rules.
    package init(_ violations: [Violation]) {
        let count = violations.count
        self.init(
            .invalidConfiguration,
            count == 1
                ? "a field breaks its rule: \(violations[0])" : "\(count) fields break their rules",
            violations: violations)
    }

    /// All of it in one line, for people at a terminal.
    package var description: String {
        violations.count > 1
            ? "\(message): \(violations.map(\.description).joined(separator: "; "))" : message
    }

    /// Who can do something about it. With status 500 a dependency is not away: what it has is not right, and
    /// waiting does not help.
    package var category: ErrorCategory {
        code == .dependencyUnavailable && status == 500 ? .adminRequired : code.category
    }

    /// Writes `{"error": …}`.
    /// - Parameter requestID: the request's id, as in the answer's header.
    package func encode(into json: inout JSONWriter, requestID: String, at time: Timestamp) {
        json.object { json in
            json.member("error") { json in
                json.member("code", code.name)
                json.member("message", message.isEmpty ? code.name : message)
                json.member("details") { json in
                    json.member("category", category.rawValue)
                    encodeDetails(into: &json)
                }
                json.member("request_id", requestID.isEmpty ? "-" : requestID)
                json.member("timestamp", time)
            }
        }
    }

    private func encodeDetails(into json: inout JSONWriter) {
        if !violations.isEmpty {
            json.key("violations")
            json.array { list in
                for violation in violations {
                    list.object { json in
                        json.member("field", violation.field)
                        json.member("rule", violation.rule)
                    }
                }
            }
        }
        json.member("retry_after_seconds", retryAfter)
        for detail in details {
            json.key(dynamic: detail.name)
            json.value(detail.value)
        }
    }

    /// The text, cut to so many characters of Unicode.
    private static func bounded(_ text: String, _ most: Int) -> String {
        text.unicodeScalars.count <= most
            ? text : String(String.UnicodeScalarView(text.unicodeScalars.prefix(most)))
    }
}

// On its way through the HTTP layer.
extension HTTPError {
    private static let violations = "violations"
    private static let retryAfter = "retry_after_seconds"

    /// The error, on its way through the HTTP layer.
    package init(_ info: ErrorInfo, headers: [HeaderField] = []) {
        var details: [JSONValue.Member] = []
        if !info.violations.isEmpty {
            let list = info.violations.map { violation in
                JSONValue.object([
                    JSONValue.Member(name: "field", value: .string(violation.field)),
                    JSONValue.Member(name: "rule", value: .string(violation.rule)),
                ])
            }
            details.append(JSONValue.Member(name: Self.violations, value: .array(list)))
        }
        var headers = headers
        for detail in info.details {
            details.append(JSONValue.Member(name: detail.name, value: .integer(Int64(detail.value))))
        }
        if let seconds = info.retryAfter {
            details.append(JSONValue.Member(name: Self.retryAfter, value: .integer(Int64(seconds))))
            headers.append(HeaderField("Retry-After", "\(seconds)"))
        }
        if info.code == .notAuthenticated {
            headers.append(HeaderField("WWW-Authenticate", "Bearer realm=\"reel\""))
        }
        self.init(
            status: info.status, code: info.code.name, message: info.message, details: details,
            headers: headers)
    }

    /// The same as it is answered.
    /// - Parameter code: the code that it names.
    func info(_ code: ErrorCode) -> ErrorInfo {
        var info = ErrorInfo(code, message, status: status)
        for detail in details {
            switch detail.name {
            case Self.violations:
                info.violations = (detail.value.array ?? []).compactMap { item in
                    guard let field = item["field"]?.string, let rule = item["rule"]?.string else {
                        return nil
                    }
                    return Violation(field, rule)
                }
            case Self.retryAfter: info.retryAfter = detail.value.integer.flatMap { Int(exactly: $0) }
            default:
                guard let value = detail.value.integer.flatMap({ Int(exactly: $0) }) else { continue }
                info.details.append(ErrorDetail(detail.name, value))
            }
        }
        return info
    }
}
