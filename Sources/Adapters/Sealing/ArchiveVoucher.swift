package import Base
internal import CSodium

/// Word that a segment of the archive is what the log held, by somebody who has a key-encryption key.
///
/// HMAC-SHA256 under a subkey of the key-encryption key (libsodium `crypto_kdf`, context `reelarch`, number
/// 1) of the text `reel-archive-1` LF epoch LF partition LF segment LF hash. So whoever can write the
/// archive's folder, and has no key, cannot add to the log what was never in it.
package struct ArchiveVoucher: Sendable, Hashable {
    /// The segment that is vouched for.
    package struct Subject: Sendable, Hashable {
        /// Epoch of the log.
        package var epoch: String
        /// Name of the partition.
        package var partition: String
        /// Name of the segment.
        package var segment: String
        /// Checksum over the whole segment, in hexadecimal digits.
        package var hash: String
        package init(epoch: String, partition: String, segment: String, hash: String) {
            self.epoch = epoch
            self.partition = partition
            self.segment = segment
            self.hash = hash
        }

        fileprivate var text: [UInt8] {
            Array("reel-archive-1\n\(epoch)\n\(partition)\n\(segment)\n\(hash)".utf8)
        }
    }

    /// The key-encryption key whose subkey made it.
    package let keyEncryptionKeyID: String
    /// The authenticator.
    package let code: Digest

    /// Id and code as one line of text.
    package var line: [UInt8] { Array("\(keyEncryptionKeyID) \(code.hex)\n".utf8) }

    /// Reads what `line` writes; nil for anything else.
    package init?(line: [UInt8]) {
        let parts = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard line.last == UInt8(ascii: "\n"), parts.count == 2 else { return nil }
        let id = String(decoding: parts[0], as: UTF8.self)
        guard Identifier.isValid(id),
            let code = Digest(hex: String(decoding: parts[1].dropLast(), as: UTF8.self))
        else { return nil }
        self.init(keyEncryptionKeyID: id, code: code)
    }

    fileprivate init(keyEncryptionKeyID: String, code: Digest) {
        self.keyEncryptionKeyID = keyEncryptionKeyID
        self.code = code
    }
}

extension KeyRing {
    /// Vouches for a segment with the key that is active now.
    package func vouch(for subject: ArchiveVoucher.Subject) throws(KeyFailure) -> ArchiveVoucher {
        let key = try activeKey()
        return ArchiveVoucher(keyEncryptionKeyID: key.id, code: key.code(of: subject))
    }

    /// Whether a voucher is for this segment, by a key of this folder.
    /// - Throws: `unknownKeyEncryptionKey` where the folder lacks its key.
    package func isGenuine(
        _ voucher: ArchiveVoucher, for subject: ArchiveVoucher.Subject
    ) throws(KeyFailure) -> Bool {
        let id = voucher.keyEncryptionKeyID
        let key = KeyEncryptionKey(id: id, state: .retired, secret: try secret(id))
        return key.code(of: subject) == voucher.code
    }
}

extension KeyEncryptionKey {
    fileprivate func code(of subject: ArchiveVoucher.Subject) -> Digest {
        let subkey = SecretBytes(count: SessionKey.byteCount) { target in
            let status = secret.withBytes { secret in
                crypto_kdf_derive_from_key(target.octets, target.count, 1, "reelarch", secret.octets)
            }
            precondition(status == 0, "libsodium refused a key derivation of valid lengths")
        }
        return subject.text.withUnsafeBytes { HMACSHA256(key: subkey).authenticate($0) }
    }
}
