internal import APIKit
internal import Access
internal import Pipeline
package import Recording

/// Where records of who did what go. Calls come from several threads.
package protocol AuditWriter: Sendable {
    /// Takes a record that nobody waits for.
    func note(_ record: AuditRecord, traceparent: String)
    /// Takes a record and returns when it is durable; throws when that took too long.
    func keep(_ record: AuditRecord, traceparent: String) throws
}

/// Where the passwords of recorded desktops go; nobody here reads one. Calls block.
package protocol PasswordWriter: Sendable {
    /// Keeps a session's password, sealed and durably.
    /// - Returns: false when the session has been deleted.
    @discardableResult
    func put(_ password: RDPPassword, ofSession session: String) throws -> Bool
}

extension AuditTrail: AuditWriter {}
extension RDPPasswords: PasswordWriter {}

/// Requests as records of the audit trail.
struct AuditedRequests: RequestTrail {
    let writer: any AuditWriter

    func note(_ record: RequestRecord, traceparent: String) {
        writer.note(AuditRecord(record), traceparent: traceparent)
    }

    func keep(_ record: RequestRecord, traceparent: String) throws {
        try writer.keep(AuditRecord(record), traceparent: traceparent)
    }
}

extension AuditRecord {
    fileprivate init(_ record: RequestRecord) {
        let actor = record.subject.map { subject in
            AuditActor(type: .user, subject: subject.id, roles: subject.roles.map(\.rawValue).sorted())
        }
        let outcome: AuditOutcome =
            switch record.outcome {
            case .allowed: .allowed
            case .denied: .denied
            case .failed: .failed
            }
        let kind = AuditResource.Kind(rawValue: record.resource.kind)
        // What another domain has is none of the kinds of the schema, and is named all the same.
        let details =
            kind == nil
            ? record.notes.details.merging(["kind": record.resource.kind]) { told, _ in told }
            : record.notes.details
        self.init(
            record.action.flatMap(AuditAction.init) ?? .authenticate,
            on: AuditResource(kind ?? .other, id: record.resource.id), session: record.history,
            outcome: outcome,
            statusCode: record.status, reason: record.reason, actor: actor ?? .unauthenticated,
            address: record.address, requestID: record.requestID, userAgent: record.userAgent,
            changed: record.notes.changed, sessionSequence: record.notes.sequence,
            range: record.range.flatMap {
                AuditRange(first: $0.first, last: $0.last, length: $0.length)
            }, caseName: record.notes.caseName, details: details)
    }
}
