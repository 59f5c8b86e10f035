package import EventSourcing
internal import Glibc

/// Who runs this command.
package enum CurrentUser {
    /// The login name of the process's user; its number when it has none.
    static let name: String = {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 1 << 14)
        let user = getuid()
        guard getpwuid_r(user, &entry, &buffer, buffer.count, &found) == 0, found != nil,
            let name = entry.pw_name
        else { return "\(user)" }
        return String(cString: name)
    }()

    /// As the actor of what the command causes.
    package static let actor = Actor(type: "user", id: name)
}
