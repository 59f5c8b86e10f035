package import Base
package import Recording
package import Sealing

/// The data keys of sessions, unwrapped and kept for a while. One thread.
package final class SessionKeys {
    private static let maximumKept = 256

    private let ring: KeyRing
    private let records: any KeyRecords
    private var kept: [String: SessionKey] = [:]

    /// Keys that are kept in `records`, wrapped by a key of `ring`.
    package init(ring: KeyRing, records: any KeyRecords) {
        self.ring = ring
        self.records = records
    }

    /// Makes a session's key and keeps it durably; a session that has one already keeps that.
    package func make(forSession session: String, at time: Timestamp) throws -> SessionKey {
        let wrapped = try ring.wrap(try SessionKey.generate(sessionID: session))
        let record = try records.keep(
            KeyRecord(
                sessionID: session, keyID: wrapped.keyID, keyEncryptionKeyID: wrapped.keyEncryptionKeyID,
                nonce: wrapped.nonce, ciphertext: wrapped.ciphertext, createdAt: time))
        return try unwrap(record)
    }

    /// A session's key.
    /// - Throws: `KeyMissing` when there is none; `KeyFailure` when it was changed or cannot be unwrapped;
    ///   whatever else the records throw.
    package func key(ofSession session: String) throws -> SessionKey {
        if let key = kept[session] { return key }
        let found: KeyRecord?
        do { found = try records.record(ofSession: session) } catch let error as UnreadableKeyRecord {
            throw KeyFailure.invalid(what: "the kept key of session \(session)", reason: error.text)
        }
        guard let record = found else { throw KeyMissing(sessionID: session) }
        let key = try unwrap(record)
        if kept.count >= Self.maximumKept { kept.removeAll(keepingCapacity: true) }
        kept[session] = key
        return key
    }

    private func unwrap(_ record: KeyRecord) throws -> SessionKey {
        try ring.unwrap(
            WrappedKey(
                sessionID: record.sessionID, keyID: record.keyID,
                keyEncryptionKeyID: record.keyEncryptionKeyID,
                nonce: record.nonce, ciphertext: record.ciphertext))
    }
}
