import Glibc

/// An environment variable; empty counts as not set.
package func environmentVariable(_ name: String) -> String? {
    guard let value = getenv(name) else { return nil }
    let text = String(cString: value)
    return text.isEmpty ? nil : text
}

/// The whole environment of this process.
func currentEnvironment() -> [String: String] {
    var variables: [String: String] = [:]
    var entry = environ
    while let text = entry.pointee {
        let parts = String(cString: text).split(
            separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 2 { variables[String(parts[0])] = String(parts[1]) }
        entry += 1
    }
    return variables
}

/// The path of an executable file: `name` itself when it contains a slash, else the first hit on PATH.
package func findProgram(_ name: String) -> String? {
    if name.contains("/") { return isExecutableFile(name) ? name : nil }
    let path = environmentVariable("PATH") ?? "/usr/local/bin:/usr/bin:/bin"
    return path.split(separator: ":").map { "\($0)/\(name)" }.first(where: isExecutableFile)
}

private func isExecutableFile(_ path: String) -> Bool {
    var facts = stat()
    return stat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFREG && access(path, X_OK) == 0
}

/// Creates a folder and those above it, readable by us alone; no error when it is there.
package func makeFolder(_ path: String) throws(SystemFailure) {
    var built = path.hasPrefix("/") ? "" : "."
    for part in path.split(separator: "/") {
        built += "/\(part)"
        if mkdir(built, 0o700) != 0 && errno != EEXIST {
            let code = errno
            // Somewhere up the path we may not create but need not: it exists.
            if access(built, F_OK) != 0 { throw SystemFailure("create folder", built, code: code) }
        }
    }
    if access(path, W_OK | X_OK) != 0 { throw SystemFailure("write in folder", path) }
}

/// Puts `text` into a file for us alone: durably, and whole or not at all.
///
/// What a process that was killed meanwhile left of it lies beside the file as `<path>.new`, and goes with
/// the next write. Two processes must not write one file at once.
package func writeFile(_ path: String, _ text: String) throws(SystemFailure) {
    let temporary = "\(path).new"
    // Never through a link, and never with the permissions of a file that was there.
    unlink(temporary)
    let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw SystemFailure("create file", temporary) }
    do throws(SystemFailure) {
        try writeAll(Array(text.utf8), to: file, temporary)
        if fsync(file) != 0 { throw SystemFailure("write", temporary) }
    } catch {
        close(file)
        unlink(temporary)
        throw error
    }
    close(file)
    if rename(temporary, path) != 0 { throw SystemFailure("rename to", path) }
    try synchronizeFolder(of: path)
}

private func writeAll(_ bytes: [UInt8], to file: Int32, _ path: String) throws(SystemFailure) {
    var written = 0
    while written < bytes.count {
        let count = bytes.withUnsafeBytes {
            write(file, $0.baseAddress?.advanced(by: written), bytes.count - written)
        }
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { throw SystemFailure("write", path) }
        written += count
    }
}

/// Makes the names in a file's folder durable.
private func synchronizeFolder(of path: String) throws(SystemFailure) {
    let end = path.lastIndex(of: "/")
    let name = end.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let folder = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard folder >= 0 else { throw SystemFailure("open folder", name) }
    defer { close(folder) }
    if fsync(folder) != 0 { throw SystemFailure("synchronize folder", name) }
}

/// The last `limit` bytes of a file as text; empty when it can't be read.
func endOfFile(_ path: String, limit: Int = 4096) -> String {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return "" }
    defer { close(file) }
    let size = lseek(file, 0, SEEK_END)
    lseek(file, max(0, size - limit), SEEK_SET)
    var bytes = [UInt8](repeating: 0, count: limit)
    let count = read(file, &bytes, limit)
    return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : ""
}
