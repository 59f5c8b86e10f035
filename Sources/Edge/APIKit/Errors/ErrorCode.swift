/// Who can do something about an error.
package enum ErrorCategory: String, Sendable, CaseIterable {
    /// Whoever asked, by asking otherwise.
    case userFixable = "user_fixable"
    /// Somebody with more rights, or with access to the system.
    case adminRequired = "admin_required"
    /// Time: the same request may succeed later.
    case temporary
}

/// The code of an error, as answers have it. Domains add codes of their own.
package struct ErrorCode: Sendable, Hashable {
    /// Its number, such as 3010.
    package let number: Int
    /// The HTTP status that goes with it, unless an error names a closer one.
    package let status: Int
    /// Who can do something about it.
    package let category: ErrorCategory

    /// A code from its parts.
    package init(_ number: Int, status: Int, _ category: ErrorCategory) {
        self.number = number
        self.status = status
        self.category = category
    }

    /// `REEL_ERR_3010` …
    package var name: String { "REEL_ERR_\(number)" }

    /// What is asked for breaks a rule.
    package static let invalidConfiguration = ErrorCode(3002, status: 422, .userFixable)
    /// There is one already.
    package static let existsAlready = ErrorCode(3003, status: 409, .userFixable)
    /// It is not in a state that allows this.
    package static let wrongState = ErrorCode(3004, status: 409, .userFixable)
    /// There is no room, or a disk does not do what it should.
    package static let storage = ErrorCode(3007, status: 507, .adminRequired)
    /// More requests than are allowed.
    package static let rateLimit = ErrorCode(3010, status: 429, .temporary)
    /// Nobody good says who asks.
    package static let notAuthenticated = ErrorCode(3011, status: 401, .userFixable)
    /// Who asks may not.
    package static let notAllowed = ErrorCode(3012, status: 403, .adminRequired)
    /// Larger than is allowed.
    package static let tooLarge = ErrorCode(3013, status: 413, .userFixable)
    /// The request is not understood.
    package static let malformedRequest = ErrorCode(3014, status: 400, .userFixable)
    /// Something that is needed is away.
    package static let dependencyUnavailable = ErrorCode(3015, status: 503, .temporary)

    /// Those that every service has.
    package static let general: [ErrorCode] = [
        .invalidConfiguration, .existsAlready, .wrongState, .storage, .rateLimit, .notAuthenticated,
        .notAllowed, .tooLarge, .malformedRequest, .dependencyUnavailable,
    ]
}
