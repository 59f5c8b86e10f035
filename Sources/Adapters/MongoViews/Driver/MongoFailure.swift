internal import CMongo
package import EventSourcing
internal import ReadModels

/// What went wrong between us and the MongoDB server, with everything an operator needs to find it.
///
/// It is a failure in the sense of the project: it never says anything about the domain, and `remedy` says
/// what can end it.
package struct MongoFailure: TransientFailure, Sendable, Equatable, CustomStringConvertible {
    /// What was attempted, for example `bulk write`.
    package let operation: String
    /// The database and collection it was attempted on, for example `reel.audit`; empty for the server.
    package let collection: String
    /// The hosts of the connection string, without user, password or options.
    package let host: String
    /// libmongoc's error domain (`mongoc_error_domain_t`); 0 when the failure is our own finding.
    package let domain: UInt32
    /// The server's error code, or libmongoc's (`mongoc_error_code_t`) when the server gave none.
    package let code: UInt32
    /// The message of the server or of libmongoc, without values of documents and without commands.
    package private(set) var text: String
    /// What kind of failure it is.
    package private(set) var kind: MongoFailureKind

    /// What can end it. By itself it ends where the server was away, stepping down or busy.
    package var remedy: Remedy { kind.remedy }
    /// Whether no server that could have answered was reached in time.
    package var isUnreachable: Bool { kind == .unreachable }

    /// What happened and what to do, without where: for those who may not know that.
    package var summary: String { text + (kind.advice.map { "; \($0)" } ?? "") }

    /// One line: what happened, to what, and where; where somebody has to do something, also what.
    package var description: String {
        let target = collection.isEmpty ? host : "\(collection) at \(host)"
        let advice = kind.advice.map { "; \($0)" } ?? ""
        return "MongoDB: \(operation) on \(target) failed: \(text) (code \(code), domain \(domain))\(advice)"
    }
}

extension MongoFailure {
    /// The server's code for a broken unique index (`DuplicateKey`).
    static let duplicateKey: UInt32 = 11000
    /// The server's code for a collection that does not exist (`NamespaceNotFound`).
    static let namespaceNotFound: UInt32 = 26
    /// The server's code for a document that it does not take for its size (`BSONObjectTooLarge`).
    static let documentTooLarge: UInt32 = 10334
    /// The server's code for a hint to an index that is not there, among other bad values (`BadValue`).
    static let badValue: UInt32 = 2
    /// The server's code for a query whose collection was replaced under it (`QueryPlanKilled`).
    static let queryPlanKilled: UInt32 = 175

    /// Whether the server itself answered with this code: libmongoc has codes of its own of the same numbers.
    func isServers(_ code: UInt32) -> Bool {
        self.code == code && MongoFailureKind.isServers(domain: domain)
    }

    /// Turns what a C call left behind into a failure; the only place where that is done.
    init(_ error: bson_error_t, reply: BSONDocument? = nil, at target: MongoTarget) {
        let text = withUnsafeBytes(of: error.message) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        // A reply without labels, or with none that reads, names none.
        let labels = (try? reply?.fields().strings("errorLabels")) ?? []
        self.init(
            operation: target.operation, collection: target.collection, host: target.host,
            domain: error.domain, code: error.code, text: Self.withoutValues(text),
            kind: MongoFailureKind(domain: error.domain, code: error.code, text: text, labels: labels))
    }

    /// A failure that the server named inside of an answer, or that we found ourselves.
    package init(_ text: String, code: UInt32 = 0, isTransient: Bool = false, at target: MongoTarget) {
        self.init(
            operation: target.operation, collection: target.collection, host: target.host, domain: 0,
            code: code, text: Self.withoutValues(text),
            kind: isTransient ? .busy : MongoFailureKind(domain: 0, code: code, text: text, labels: []))
    }

    /// A finding of our own, of a kind.
    init(_ text: String, kind: MongoFailureKind, at target: MongoTarget) {
        self.init(
            operation: target.operation, collection: target.collection, host: target.host, domain: 0,
            code: 0, text: text, kind: kind)
    }

    /// A document of the server that does not read as its schema says.
    init(_ error: BSONError, at target: MongoTarget) {
        self.init("\(error)", at: target)
    }

    /// The same, of what was found out about the servers meanwhile.
    func explained(_ text: String, kind: MongoFailureKind) -> MongoFailure {
        var failure = self
        failure.text += ": \(text)"
        failure.kind = kind
        return failure
    }

    /// A message without what must not be repeated: the server shows the command that it refuses, with its
    /// documents, and the values that stand in an index already.
    private static func withoutValues(_ text: String) -> String {
        var text = text[...]
        for mark in [" to execute command ", " dup key:"] {
            if let end = text.firstRange(of: mark) { text = text[..<end.lowerBound] }
        }
        return String(text.prefix(500))
    }
}

/// What an operation is about, kept for the failure that it may end in.
package struct MongoTarget {
    let operation: String
    let collection: String
    let host: String
}
