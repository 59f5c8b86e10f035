package import Recording
package import Sealing

/// Compares what is recorded with the keys that there are to open it with.
package struct KeyInspection {
    private let ring: KeyRing

    /// An inspection that unwraps with the keys of `ring`.
    package init(ring: KeyRing) { self.ring = ring }

    /// Keys that cannot be had, in the order of the demands.
    /// - Parameter records: what the vault has of these sessions.
    package func findings(_ demands: [KeyDemand], among records: [KeyRecord]) throws -> [KeyFinding] {
        let kept = Dictionary(records.map { ($0.sessionID, $0) }, uniquingKeysWith: { first, _ in first })
        // What is in memory opens files until the process ends, and nothing after that.
        let present = try ring.ids()
        return try demands.compactMap { try finding($0, kept[$0.sessionID], present) }
    }

    private func finding(
        _ demand: KeyDemand, _ record: KeyRecord?, _ present: Set<String>
    ) throws -> KeyFinding? {
        func finding(_ kind: KeyFinding.Kind, _ found: String = "") -> KeyFinding {
            KeyFinding(
                sessionID: demand.sessionID, keyID: demand.keyID ?? record?.keyID, kind: kind, found: found)
        }
        guard let record else { return finding(.missing) }
        if let keyID = demand.keyID, keyID != record.keyID { return finding(.replaced, record.keyID) }
        guard present.contains(record.keyEncryptionKeyID) else {
            return finding(.unwrappable, record.keyEncryptionKeyID)
        }
        do throws(KeyFailure) {
            _ = try ring.unwrap(
                WrappedKey(
                    sessionID: record.sessionID, keyID: record.keyID,
                    keyEncryptionKeyID: record.keyEncryptionKeyID, nonce: record.nonce,
                    ciphertext: record.ciphertext))
            return nil
        } catch {
            switch error {
            case .unwrapFailed, .invalid: return finding(.unusable)
            case .unknownKeyEncryptionKey(let id, _): return finding(.unwrappable, id)
            case .damagedFile, .exposed, .foreignOwner, .lost:
                return finding(.unwrappable, record.keyEncryptionKeyID)
            case .file: throw error
            }
        }
    }
}
