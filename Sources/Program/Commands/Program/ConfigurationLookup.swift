import Console
import Glibc
import Supervision

/// Finds the configuration file of a command: `--config FILE`, else `reel.conf` in the data folder.
enum ConfigurationLookup {
    static func file(for invocation: Invocation) throws -> ConfigurationFile {
        let named =
            invocation.given(Common.config) ?? environmentVariable(Common.config.declaration.variable ?? "")
        if let named {
            do throws(SystemFailure) {
                return ConfigurationFile(path: named, text: try FileText.read(named))
            } catch {
                throw UsageError(
                    ["--config \(named): \(error.text); name a file that can be read"],
                    command: invocation.command.name)
            }
        }
        let folder =
            invocation.given(Common.data) ?? environmentVariable(Common.data.declaration.variable ?? "")
            ?? Common.defaultData
        let usual = "\(folder)/reel.conf"
        do throws(SystemFailure) {
            return ConfigurationFile(path: usual, text: try FileText.read(usual))
        } catch {
            if error.code == ENOENT || error.code == ENOTDIR { return .none }
            throw CommandFailure(.dependency, "\(usual): \(error.text); make it readable or remove it")
        }
    }
}

/// Small files that are read whole.
enum FileText {
    /// No file that Reel reads whole is larger.
    private static let limit = 1 << 20

    static func read(_ path: String) throws(SystemFailure) -> String {
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
    static func write(_ bytes: [UInt8], to path: String) throws(SystemFailure) {
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
    var text: String { strerror(code).map { String(cString: $0) } ?? "error \(code)" }
}
