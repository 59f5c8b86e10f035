internal import Glibc

/// A call to the operating system about a file that failed.
package struct FileFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// The call, such as `open` or `fsync`.
    package let operation: String
    /// What it was about.
    package let path: String
    /// The C error number.
    package let code: Int32

    /// A failure from its parts; the code is that of the last call of this thread unless it is given.
    package init(_ operation: String, _ path: String, code: Int32 = errno) {
        self.operation = operation
        self.path = path
        self.code = code
    }

    /// The system's words for the error.
    package var text: String { String(cString: strerror(code)) }

    /// True when the disk or the user's share of it is full.
    package var isOutOfSpace: Bool { code == ENOSPC || code == EDQUOT }

    /// True when trying again later may succeed, a full disk included: someone may make room.
    package var isTransient: Bool {
        switch code {
        case EINTR, EAGAIN, EBUSY, ENFILE, EMFILE, ENOMEM, EIO, ESTALE, ETIMEDOUT: true
        default: isOutOfSpace
        }
    }

    /// True when this process or the machine is short of memory or descriptors.
    package var isShortage: Bool { [EMFILE, ENFILE, ENOMEM, EINTR, EAGAIN].contains(code) }

    /// True when there is no such file or folder.
    package var isMissing: Bool { code == ENOENT }

    /// One line for people.
    package var description: String { "\(operation) \(path): \(text)" }
}
