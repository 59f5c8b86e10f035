import Base
import Console
import Glibc
import HTTPServer
import Supervision

/// The certificate and the key of a process's HTTPS port, and where they come from.
struct CertificateFiles {
    private let certificate: String
    private let key: String
    /// What they held when the process began.
    let identity: TLSIdentity

    /// Nil where neither is named. A pair that can't be used is refused with the setting that names it.
    init?(_ settings: Settings) throws(UsageError) {
        let command = settings.command.name
        let (certificate, key) = (settings[WebSettings.certificate], settings[WebSettings.certificateKey])
        guard let certificate, let key else {
            guard certificate == nil, key == nil else {
                throw UsageError(
                    [
                        "--tls-cert (REEL_TLS_CERT) and --tls-key (REEL_TLS_KEY) belong together; give both"
                    ], command: command)
            }
            return nil
        }
        self.certificate = certificate
        self.key = key
        do throws(CertificateProblem) {
            identity = try Self.read(certificate, key)
        } catch {
            throw UsageError([error.text], command: command)
        }
    }

    private static func read(_ certificate: String, _ key: String) throws(CertificateProblem) -> TLSIdentity {
        let names = ["--tls-cert (REEL_TLS_CERT) \(certificate)", "--tls-key (REEL_TLS_KEY) \(key)"]
        func text(_ path: String, _ name: String) throws(CertificateProblem) -> String {
            do throws(SystemFailure) { return try FileText.read(path) } catch {
                throw CertificateProblem(text: "\(name): \(error.text)")
            }
        }
        let texts = (try text(certificate, names[0]), try text(key, names[1]))
        do throws(TLSProblem) {
            return try TLSIdentity(certificate: texts.0, key: texts.1)
        } catch {
            throw CertificateProblem(text: "\(names[error.part == .certificate ? 0 : 1]): \(error.reason)")
        }
    }

    /// What tells whether one of the files has changed; nil while one is missing.
    fileprivate var stamp: [Int]? {
        var stamps: [Int] = []
        for path in [certificate, key] {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            stamps += [
                Int(status.st_ino), status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
            ]
        }
        return stamps
    }

    fileprivate func readAgain() throws(CertificateProblem) -> TLSIdentity {
        try Self.read(certificate, key)
    }
}

/// What is wrong with certificate or key, and the setting that names it.
struct CertificateProblem: Error {
    let text: String
}

/// Takes a renewed certificate into use while the process runs. One thread.
struct CertificateWatch {
    /// How often the files are looked at. Both are replaced one after the other: what doesn't fit yet is
    /// looked at again before anything is said of it.
    static let everyMilliseconds = 1000
    private static let looksBeforeWarning = 3
    private static let warnSecondsAhead: Int64 = 14 * 86_400

    private let files: CertificateFiles
    private let report: (LogLevel, String) -> Void
    private var stamp: [Int]?
    private var failedLooks = 0

    init(_ files: CertificateFiles, report: @escaping (LogLevel, String) -> Void) {
        self.files = files
        self.report = report
        stamp = files.stamp
        warn(of: files.identity)
    }

    /// The identity to show from now on; nil when nothing has changed, or nothing that can be used.
    mutating func look() -> TLSIdentity? {
        let found = files.stamp
        guard found != stamp || failedLooks > 0 else { return nil }
        if found != stamp { failedLooks = 0 }
        stamp = found
        do throws(CertificateProblem) {
            let identity = try files.readAgain()
            failedLooks = 0
            report(.info, "the certificate was renewed")
            warn(of: identity)
            return identity
        } catch {
            failedLooks += 1
            if failedLooks == Self.looksBeforeWarning {
                report(.warning, "\(error.text); the certificate of before stays in use")
            }
            return nil
        }
    }

    private func warn(of identity: TLSIdentity) {
        let left = identity.expiresSeconds -| SystemClock().now().milliseconds / 1000
        guard left < Self.warnSecondsAhead else { return }
        let end = Timestamp(milliseconds: identity.expiresSeconds *| 1000).rfc3339
        report(.warning, left < 0 ? "the certificate has expired: \(end)" : "the certificate expires: \(end)")
    }
}
