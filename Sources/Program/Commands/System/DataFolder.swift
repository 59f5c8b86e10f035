import Glibc
import Supervision
import Console

/// Where everything is in a data folder.
struct DataFolder {
    /// Absolute path, without links.
    let path: String

    var endpoints: String { "\(path)/endpoints.json" }
    var redis: String { "\(path)/redis" }
    var mongodb: String { "\(path)/mongodb" }
    /// Keys of the API's tokens.
    var tokenKeys: String { "\(path)/tokens" }
    var adminToken: String { "\(path)/admin.token" }

    static func keys(in path: String) -> String { "\(path)/keys" }
    static func spool(in path: String) -> String { "\(path)/spool" }
    static func archive(in path: String) -> String { "\(path)/archive" }
    static func chunks(in path: String) -> String { "\(path)/chunks" }

    /// An existing folder; nil when there is none.
    init?(existing path: String) {
        guard let absolute = Self.absolute(path) else { return nil }
        self.path = absolute
    }

    /// Makes the folder where it is missing, for us alone.
    init(creating path: String) throws(CommandFailure) {
        do throws(SystemFailure) { try Self.make(path) } catch {
            throw CommandFailure(
                .dependency,
                "the data folder \(path) cannot be used: \(error); choose another with --data, or change its "
                    + "permissions")
        }
        guard let absolute = Self.absolute(path) else {
            throw CommandFailure(.dependency, "the data folder \(path) cannot be resolved")
        }
        self.path = absolute
    }

    /// The folder that a path's last part is in.
    static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// The absolute path of something that exists.
    static func absolute(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// Makes a folder and those above it, for us alone; checks that it can be written.
    static func make(_ path: String) throws(SystemFailure) {
        var built = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/") {
            built += "/\(part)"
            if mkdir(built, 0o700) != 0, errno != EEXIST {
                let code = errno
                // A folder above that may not be written but is there needs no making.
                if access(built, F_OK) != 0 { throw SystemFailure("create folder", built, code: code) }
            }
        }
        var facts = stat()
        guard stat(path, &facts) == 0 else { throw SystemFailure("look at", path) }
        guard facts.st_mode & S_IFMT == S_IFDIR else {
            throw SystemFailure("use as a folder", path, code: ENOTDIR)
        }
        if access(path, R_OK | W_OK | X_OK) != 0 { throw SystemFailure("write in folder", path) }
    }
}
