internal import CMongo
public import EventSourcing

/// What went wrong between us and the MongoDB server, with everything an operator needs to find it.
///
/// It is a failure in the sense of the project: it never says anything about the domain, and `remedy` says
/// what can end it.
public struct MongoFailure: TransientFailure, Sendable, Equatable, CustomStringConvertible {
    /// What was attempted, for example `bulk write`.
    public let operation: String
    /// The database and collection it was attempted on, for example `reel.sessions`; empty for the server.
    public let collection: String
    /// The hosts of the connection string, without user, password or options.
    public let host: String
    /// libmongoc's error domain (`mongoc_error_domain_t`); 0 when the failure is our own finding.
    public let domain: UInt32
    /// The server's error code, or libmongoc's (`mongoc_error_code_t`) when the server gave none.
    public let code: UInt32
    /// The message of the server or of libmongoc.
    public let text: String
    /// What can end it. By itself it ends where the server was away, stepping down or busy.
    public let remedy: Remedy
    /// Whether no server that could have answered was reached in time.
    public let isUnreachable: Bool

    /// One line: what happened, to what, and where.
    public var description: String {
        let target = collection.isEmpty ? host : "\(collection) at \(host)"
        return "MongoDB: \(operation) on \(target) failed: \(text) (code \(code), domain \(domain))"
    }
}

extension MongoFailure {
    /// The server's code for a broken unique index (`DuplicateKey`).
    static let duplicateKey: UInt32 = 11000
    /// The server's code for a collection that does not exist (`NamespaceNotFound`).
    static let namespaceNotFound: UInt32 = 26

    /// The server's code for a hint to an index that is not there, among other bad values (`BadValue`).
    static let badValue: UInt32 = 2

    /// The server's code for a query whose collection was replaced under it (`QueryPlanKilled`).
    static let queryPlanKilled: UInt32 = 175

    /// Codes after which a later try may succeed: the retryable-writes specification of MongoDB's drivers,
    /// and write conflicts and exceeded limits, which say the same for us.
    private static let transientCodes: Set<UInt32> = [
        6, 7, 50, 64, 89, 91, 112, 134, 175, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436,
    ]

    /// Codes that an operator can do something about: user, password and permissions (`Unauthorized`,
    /// `AuthenticationFailed`, `UserNotFound`, `AuthenticationRestrictionUnmet` …).
    private static let operatorsCodes: Set<UInt32> = [11, 13, 18, 31, 33, 277, 8000]

    private static func remedy(ofCode code: UInt32) -> Remedy {
        transientCodes.contains(code) ? .time : operatorsCodes.contains(code) ? .operators : .none
    }

    /// Turns what a C call left behind into a failure; the only place where that is done.
    init(_ error: bson_error_t, reply: BSONDocument? = nil, at target: MongoTarget) {
        let selection = MONGOC_ERROR_SERVER_SELECTION.rawValue
        let unreachable = error.domain == selection || error.domain == MONGOC_ERROR_STREAM.rawValue
        let retryable = Self.labels(reply).contains { $0 == "RetryableWriteError" }
        self.init(
            operation: target.operation, collection: target.collection, host: target.host,
            domain: error.domain, code: error.code, text: Self.message(error),
            remedy: unreachable || retryable ? .time : Self.remedy(ofCode: error.code),
            isUnreachable: unreachable)
    }

    /// A failure that we found ourselves, for example in what the server answered.
    init(_ text: String, code: UInt32 = 0, isTransient: Bool = false, at target: MongoTarget) {
        self.init(
            operation: target.operation, collection: target.collection, host: target.host, domain: 0,
            code: code, text: text, remedy: isTransient ? .time : Self.remedy(ofCode: code),
            isUnreachable: false)
    }

    /// A document of the server that does not read as its schema says.
    init(_ error: BSONError, at target: MongoTarget) {
        switch error {
        case .malformed(let offset): self.init("malformed document, at byte \(offset)", at: target)
        case .field(let name): self.init("field \(name) is missing or has another type", at: target)
        }
    }

    private static func message(_ error: bson_error_t) -> String {
        withUnsafeBytes(of: error.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    private static func labels(_ reply: BSONDocument?) -> [String] {
        // A reply without labels, or with none that reads, names none.
        (try? reply?.fields().strings("errorLabels")) ?? []
    }
}

/// What an operation is about, kept for the failure that it may end in.
struct MongoTarget {
    let operation: String
    let collection: String
    let host: String
}
