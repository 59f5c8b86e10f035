internal import Glibc

/// Small files that are read whole.
package enum FileText {
    /// No file that Reel reads whole is larger.
    private static let limit = 1 << 20

    /// The text of a file, which has at most a mebibyte and is UTF-8.
    package static func read(_ path: String) throws(SystemFailure) -> String {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw SystemFailure("open", path) }
        defer { close(file) }
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 1 << 14)
        while true {
            let count = Glibc.read(file, &part, part.count)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw SystemFailure("read", path) }
            if count == 0 {
                guard let text = String(validating: bytes, as: UTF8.self) else {
                    throw SystemFailure("read as UTF-8 text", path, code: EILSEQ)
                }
                return text
            }
            bytes += part[..<count]
            guard bytes.count <= limit else { throw SystemFailure("read", path, code: EFBIG) }
        }
    }
}

extension FileText {
    /// Writes a small file whole or not at all, for us alone.
    package static func write(_ bytes: [UInt8], to path: String) throws(SystemFailure) {
        let temporary = "\(path).\(getpid()).new"
        let file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw SystemFailure("create", temporary) }
        let count = Glibc.write(file, bytes, bytes.count)
        let code = count == bytes.count ? 0 : (count < 0 ? errno : ENOSPC)
        close(file)
        guard code == 0 else {
            unlink(temporary)
            throw SystemFailure("write", temporary, code: code)
        }
        if rename(temporary, path) != 0 { throw SystemFailure("rename to", path) }
    }
}

extension SystemFailure {
    /// The C library's text alone.
    package var text: String { strerror(code).map { String(cString: $0) } ?? "error \(code)" }
}
