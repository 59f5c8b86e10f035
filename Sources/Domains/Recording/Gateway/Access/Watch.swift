package import Recording

/// Where records of who did what go. Calls come from several threads.
package protocol AuditDesk: Sendable {
    /// Takes a record that nobody waits for.
    func note(_ record: AuditRecord, traceparent: String)
    /// Takes a record and returns when it is durable; throws when that took too long.
    func keep(_ record: AuditRecord, traceparent: String) throws
}

/// Where the passwords of recorded desktops go; nobody here reads one. Calls block.
package protocol PasswordDesk: Sendable {
    /// Keeps a session's password, sealed and durably.
    func put(_ password: RDPPassword, ofSession session: String) throws
}
