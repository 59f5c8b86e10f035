package import Base
package import Recording
package import Sealing

/// The RDP passwords of sessions: written by the API, read by the recorder alone. Calls block; any thread
/// may call.
package struct RDPPasswords: Sendable {
    private let ring: KeyRing
    private let records: any PasswordRecords
    private let clock: any WallClock

    /// Passwords that are kept in `records`, sealed by keys of `ring`.
    package init(ring: KeyRing, records: any PasswordRecords, clock: any WallClock = SystemClock()) {
        self.ring = ring
        self.records = records
        self.clock = clock
    }

    /// Sets or replaces a session's password; it is durable when this returns.
    /// - Returns: false when the session has been deleted.
    /// - Throws: `KeyFailure.invalid` for an empty password or one of more than 1020 bytes; what the records
    ///   throw.
    @discardableResult
    package func put(_ password: UnsafeRawBufferPointer, ofSession session: String) throws -> Bool {
        let sealed = try ring.seal(password: password, ofSession: session)
        return try records.put(
            PasswordRecord(
                sessionID: session, keyEncryptionKeyID: sealed.keyEncryptionKeyID, nonce: sealed.nonce,
                ciphertext: sealed.ciphertext, updatedAt: clock.now()))
    }

    /// Sets or replaces a session's password, as a request brought it.
    @discardableResult
    package func put(_ password: RDPPassword, ofSession session: String) throws -> Bool {
        try password.withBytes { bytes in try bytes.withUnsafeBytes { try put($0, ofSession: session) } }
    }

    /// Removes a session's password; another may be set.
    package func remove(ofSession session: String) throws {
        try records.remove(session: session, forGood: false)
    }

    /// A session's password, for connecting to its desktop; nil when it has none.
    /// - Throws: `KeyFailure` when it was changed or its key is missing; what the records throw.
    package func open(ofSession session: String) throws -> OpenedPassword? {
        guard let record = try records.record(ofSession: session) else { return nil }
        return try ring.open(
            SealedPassword(
                sessionID: record.sessionID, keyEncryptionKeyID: record.keyEncryptionKeyID,
                nonce: record.nonce, ciphertext: record.ciphertext))
    }
}

/// Passwords that live in memory: for tests and simulations.
package final class InMemoryPasswordRecords: PasswordRecords {
    private struct State {
        var records: [String: PasswordRecord] = [:]
        var gone: Set<String> = []
    }

    private let state = Lock(State())

    /// No passwords.
    package init() {}

    /// Keeps a record unless the session's password was removed for good.
    package func put(_ record: PasswordRecord) -> Bool {
        state.withLock { state in
            if state.gone.contains(record.sessionID) { return false }
            state.records[record.sessionID] = record
            return true
        }
    }

    /// The record of a session.
    package func record(ofSession sessionID: String) -> PasswordRecord? {
        state.withLock { $0.records[sessionID] }
    }

    /// Removes a session's record.
    package func remove(session sessionID: String, forGood: Bool) {
        state.withLock { state in
            state.records[sessionID] = nil
            if forGood { state.gone.insert(sessionID) }
        }
    }
}
