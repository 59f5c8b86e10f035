package import Base
internal import EventSourcing

/// Who can do something about an error.
package enum ErrorCategory: String, Sendable, CaseIterable {
    /// Whoever asked, by asking otherwise.
    case userFixable = "user_fixable"
    /// Somebody with more rights, or with access to the system.
    case adminRequired = "admin_required"
    /// Time: the same request may succeed later.
    case temporary
}

/// The codes of errors (DESIGN 3.7).
package enum ErrorCode: Int, Sendable, CaseIterable {
    case sessionNotFound = 3001
    case invalidConfiguration = 3002
    case existsAlready = 3003
    case wrongState = 3004
    case chunkNotFound = 3005
    case pipeline = 3006
    case storage = 3007
    case compression = 3008
    case encryption = 3009
    case rateLimit = 3010
    case notAuthenticated = 3011
    case notAllowed = 3012
    case tooLarge = 3013
    case malformedRequest = 3014
    case dependencyUnavailable = 3015

    /// `REEL_ERR_3001` …
    package var name: String { "REEL_ERR_\(rawValue)" }

    /// The HTTP status that goes with it, unless an error names a closer one.
    package var status: Int {
        switch self {
        case .sessionNotFound, .chunkNotFound: 404
        case .invalidConfiguration: 422
        case .existsAlready, .wrongState, .pipeline: 409
        case .storage: 507
        case .compression, .encryption: 500
        case .rateLimit: 429
        case .notAuthenticated: 401
        case .notAllowed: 403
        case .tooLarge: 413
        case .malformedRequest: 400
        case .dependencyUnavailable: 503
        }
    }

    /// Who can do something about it.
    package var category: ErrorCategory {
        switch self {
        case .sessionNotFound, .invalidConfiguration, .existsAlready, .wrongState, .chunkNotFound, .pipeline,
            .notAuthenticated, .tooLarge, .malformedRequest:
            .userFixable
        case .storage, .compression, .encryption, .notAllowed: .adminRequired
        case .rateLimit, .dependencyUnavailable: .temporary
        }
    }
}

/// What went wrong with a request, as it is answered: `ErrorInfo` in an `ErrorResponse`.
package struct ErrorInfo: Error, Sendable, Hashable {
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
    /// Where the recording goes on, for whoever was about to go on elsewhere.
    package var next: StreamPlace?

    /// An error.
    /// - Parameter status: a closer one than the code's, such as 405 or 416 with `malformedRequest`.
    package init(
        _ code: ErrorCode, _ message: String, status: Int? = nil, violations: [Violation] = [],
        retryAfter: Int? = nil, next: StreamPlace? = nil
    ) {
        self.code = code
        self.status = status ?? code.status
        self.message = Self.bounded(message, 500)
        self.violations = violations
        self.retryAfter = retryAfter
        self.next = next
    }

    /// A request that was not understood.
    package init(_ failure: RequestFailure) {
        switch failure {
        case .tooLarge: self.init(.tooLarge, failure.description)
        case .malformed: self.init(.malformedRequest, failure.description)
        case .invalid(let violations):
            let count = violations.count
            self.init(
                .invalidConfiguration,
                count == 1 ? "a field breaks its rule: \(failure)" : "\(count) fields break their rules",
                violations: violations)
        }
    }

    /// A command that the rules refuse.
    package init(_ rejection: SessionRejection) {
        switch rejection {
        case .notFound: self.init(.sessionNotFound, rejection.description)
        case .exists: self.init(.existsAlready, rejection.description)
        case .wrongState, .outOfOrder, .unfinished: self.init(.wrongState, rejection.description)
        case .outOfPlace(let expected, _):
            self.init(.wrongState, rejection.description, next: expected)
        case .wrongPipelineState: self.init(.pipeline, rejection.description)
        case .changedMeanwhile: self.init(.wrongState, rejection.description, status: 412)
        case .chunkTaken: self.init(.existsAlready, rejection.description)
        case .held, .notHeld, .tooManyHolds: self.init(.wrongState, rejection.description)
        case .severalHolds(let cases):
            self.init(
                .wrongState, rejection.description,
                violations: [Violation("case", "must be one of: \(cases.joined(separator: ", "))")])
        case .invalid(let violations): self.init(RequestFailure.invalid(violations))
        }
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
                    json.member("next_sequence_number", next?.sequenceNumber)
                    json.member("next_offset", next?.offset)
                }
                json.member("request_id", requestID.isEmpty ? "-" : requestID)
                json.member("timestamp", time)
            }
        }
    }

    /// The text, cut to so many characters of Unicode.
    private static func bounded(_ text: String, _ most: Int) -> String {
        text.unicodeScalars.count <= most
            ? text : String(String.UnicodeScalarView(text.unicodeScalars.prefix(most)))
    }
}
