internal import CGnuTLS

/// Why a certificate and its key can't be used.
package struct TLSProblem: Error, Sendable, Hashable {
    /// Whose fault it is.
    package enum Part: Sendable, Hashable {
        /// The certificate's, or one of its chain's.
        case certificate
        /// The key's.
        case key
    }

    /// Whose fault it is; a pair that doesn't fit is the key's.
    package let part: Part
    /// What is wrong, without the name of a file.
    package let reason: String
}

/// A certificate, the chain behind it, and its key: what a server shows to its clients.
package final class TLSIdentity: @unchecked Sendable {
    // Sendable because GnuTLS only reads credentials once they are made.
    private let credentials: gnutls_certificate_credentials_t
    let certificate: String
    let key: String

    /// From when on clients refuse the certificate, in seconds since 1970.
    package let expiresSeconds: Int64

    /// Reads both from PEM text; the certificate's own comes first, its chain behind it.
    package init(certificate: String, key: String) throws(TLSProblem) {
        self.certificate = certificate
        self.key = key
        expiresSeconds = try Self.expiry(of: certificate)
        try Self.check(key: key)
        var made: gnutls_certificate_credentials_t?
        let code = gnutls_certificate_allocate_credentials(&made)
        guard code == GNUTLS_E_SUCCESS, let made else {
            throw TLSProblem(part: .certificate, reason: Self.text(code))
        }
        let set = Self.withDatum(certificate) { certificate in
            Self.withDatum(key) { key in
                gnutls_certificate_set_x509_key_mem2(
                    made, &certificate, &key, GNUTLS_X509_FMT_PEM, nil, 0)
            }
        }
        guard set >= 0 else {
            gnutls_certificate_free_credentials(made)
            if set == GNUTLS_E_CERTIFICATE_KEY_MISMATCH {
                throw TLSProblem(part: .key, reason: "it is not the certificate's key")
            }
            throw TLSProblem(part: .certificate, reason: Self.text(set))
        }
        credentials = made
    }

    deinit { gnutls_certificate_free_credentials(credentials) }

    /// Has a session that has not begun show this identity, and speak nothing but HTTP/1.1 (RFC 7301: who
    /// offers other protocols alone is refused). It must not go before the session does.
    func attach(to session: UnsafeMutableRawPointer) {
        let session = OpaquePointer(session)
        gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, UnsafeMutableRawPointer(credentials))
        _ = Self.withDatum("http/1.1") { name in
            gnutls_alpn_set_protocols(session, &name, 1, UInt32(GNUTLS_ALPN_MANDATORY.rawValue))
        }
    }

    private static func expiry(of certificate: String) throws(TLSProblem) -> Int64 {
        var list: UnsafeMutablePointer<gnutls_x509_crt_t?>?
        var count: UInt32 = 0
        let code = withDatum(certificate) {
            gnutls_x509_crt_list_import2(&list, &count, &$0, GNUTLS_X509_FMT_PEM, 0)
        }
        guard code >= 0, let list, count > 0 else {
            throw TLSProblem(part: .certificate, reason: "it holds no certificate in PEM: \(text(code))")
        }
        defer {
            for number in 0..<Int(count) { gnutls_x509_crt_deinit(list[number]) }
            reel_tls_free(list)
        }
        return Int64(gnutls_x509_crt_get_expiration_time(list[0]))
    }

    private static func check(key text: String) throws(TLSProblem) {
        var key: gnutls_x509_privkey_t?
        guard gnutls_x509_privkey_init(&key) == GNUTLS_E_SUCCESS, let key else {
            throw TLSProblem(part: .key, reason: "there is no memory for it")
        }
        defer { gnutls_x509_privkey_deinit(key) }
        let code = withDatum(text) {
            gnutls_x509_privkey_import2(key, &$0, GNUTLS_X509_FMT_PEM, nil, 0)
        }
        if code == GNUTLS_E_DECRYPTION_FAILED || text.contains("ENCRYPTED") {
            throw TLSProblem(part: .key, reason: "it has a passphrase, which nobody could be asked for")
        }
        guard code >= 0 else {
            throw TLSProblem(part: .key, reason: "it holds no private key in PEM: \(Self.text(code))")
        }
    }

    private static func text(_ code: CInt) -> String { String(cString: gnutls_strerror(code)) }

    private static func withDatum<Answer>(
        _ text: String, _ body: (inout gnutls_datum_t) -> Answer
    ) -> Answer {
        var bytes = Array(text.utf8)
        return bytes.withUnsafeMutableBufferPointer {
            var datum = gnutls_datum_t(data: $0.baseAddress, size: UInt32($0.count))
            return body(&datum)
        }
    }
}
