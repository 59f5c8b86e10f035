internal import CMongo
package import EventSourcing
internal import ReadModels

/// The kinds of failure that callers and operators tell apart.
package enum MongoFailureKind: String, Sendable, Hashable, CaseIterable {
    /// No connection could be made, or it broke, or there was no answer in time.
    case unreachable
    /// No certificate that both sides accept.
    case certificate
    /// The server does not take the user or the password, or does not let the user do this.
    case denied
    /// The servers that answer are another replica set than the URL says, or none.
    case otherSet
    /// The replica set has no primary, or the server is none: it takes no writes.
    case notPrimary
    /// All connections are taken, somebody else writes the same, a limit was exceeded, a majority was not
    /// reached in time.
    case busy
    /// A rule of the collection does not let the document in: an index of somebody's, a validator, its size.
    case refused
    /// The server cannot do what is asked of it as it is set up: an index of another form has our name, a
    /// view stands where a collection belongs, the disk is full.
    case unsuitable
    /// Anything else.
    case other

    /// What can end it.
    package var remedy: Remedy {
        switch self {
        case .unreachable, .notPrimary, .busy: .time
        case .certificate, .denied, .otherSet, .refused, .unsuitable: .operators
        case .other: .none
        }
    }

    /// What somebody has to do; nil where that is not known, or nothing has to be done.
    var advice: String? {
        switch self {
        case .denied: "look at the user, its password and its rights (ops/docs/servers.md)"
        case .certificate: "look at the certificates, and at tls… in the URL"
        case .otherSet: "look at replicaSet= in the URL, and at which servers it names"
        case .refused: "look at the collection's indexes and validator"
        case .unreachable, .notPrimary, .busy, .unsuitable, .other: nil
        }
    }
}

extension MongoFailureKind {
    /// Of the server's codes: those of the retryable-writes specification of MongoDB's drivers that say that
    /// a server goes down or comes up.
    private static let unreachableCodes: Set<UInt32> = [6, 7, 89, 91, 9001, 11600]
    /// The same, for a server that is no primary.
    private static let notPrimaryCodes: Set<UInt32> = [189, 10107, 10058, 11602, 13435, 13436]
    /// Write conflicts, exceeded times and limits, locks, transactions that were ended, plans that were
    /// killed, a majority that did not answer in time.
    private static let busyCodes: Set<UInt32> = [
        24, 46, 50, 64, 112, 134, 175, 202, 225, 237, 246, 251, 262, 276, 290, 11601, 12587,
    ]
    /// `Unauthorized`, `AuthenticationFailed`, `UserNotFound`, `RoleNotFound`,
    /// `AuthenticationRestrictionUnmet`, `MechanismUnavailable`, and what a hosted server says instead.
    private static let deniedCodes: Set<UInt32> = [11, 13, 18, 31, 33, 331, 334, 8000]
    /// `DuplicateKey`, `DocumentValidationFailure`, `BSONObjectTooLarge`, and what indexes of others' say of
    /// values that they don't take.
    private static let refusedCodes: Set<UInt32> = [
        11000, 121, 10334, 17280, 16755, 17261, 17262, 194, 16572,
    ]
    /// Index options and keys that conflict, views, missing transactions, unsatisfiable write concern, full
    /// disks, quotas, versions.
    private static let unsuitableCodes: Set<UInt32> = [
        20, 59, 67, 68, 72, 73, 79, 85, 86, 100, 115, 166, 197, 263, 14031,
    ]

    init(domain: UInt32, code: UInt32, text: String, labels: [String]) {
        if labels.contains("RetryableWriteError") || labels.contains("TransientTransactionError") {
            self = Self.ofServer(code)
            if remedy != .time { self = .busy }
        } else if Self.isServers(domain: domain) {
            self = Self.ofServer(code)
        } else {
            self = Self.ofClient(domain, code, text)
        }
    }

    /// Whether codes of this domain are the server's own.
    static func isServers(domain: UInt32) -> Bool {
        // 0: named inside of an answer.
        domain == 0 || domain == MONGOC_ERROR_SERVER.rawValue || domain == MONGOC_ERROR_WRITE_CONCERN.rawValue
    }

    private static func ofServer(_ code: UInt32) -> MongoFailureKind {
        if unreachableCodes.contains(code) { return .unreachable }
        if notPrimaryCodes.contains(code) { return .notPrimary }
        if busyCodes.contains(code) { return .busy }
        if deniedCodes.contains(code) { return .denied }
        if refusedCodes.contains(code) { return .refused }
        return unsuitableCodes.contains(code) ? .unsuitable : .other
    }

    private static func ofClient(_ domain: UInt32, _ code: UInt32, _ text: String) -> MongoFailureKind {
        // The library has no code for what went wrong with TLS.
        if text.contains("TLS handshake") || text.contains("certificate") { return .certificate }
        switch domain {
        case MONGOC_ERROR_SERVER_SELECTION.rawValue:
            // Something answered, and was not what was looked for; see `MongoPool.diagnose`.
            return text.contains("[") ? .unreachable : .notPrimary
        case MONGOC_ERROR_STREAM.rawValue: return .unreachable
        case MONGOC_ERROR_SCRAM.rawValue, MONGOC_ERROR_SASL.rawValue: return .denied
        case MONGOC_ERROR_CLIENT.rawValue where code == MONGOC_ERROR_CLIENT_AUTHENTICATE.rawValue:
            return .denied
        case MONGOC_ERROR_CLIENT.rawValue where code == MONGOC_ERROR_CLIENT_NOT_READY.rawValue:
            return .unreachable
        case MONGOC_ERROR_PROTOCOL.rawValue: return .unreachable
        case MONGOC_ERROR_BSON.rawValue where text.contains("too large"),
            MONGOC_ERROR_COMMAND.rawValue where text.contains("too large"):
            return .refused
        default: return .other
        }
    }
}
