public import Glibc

/// A call to the operating system about a file that failed.
public struct FileFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// The call, such as `open` or `fsync`.
    public let operation: String
    /// What it was about.
    public let path: String
    /// The C error number.
    public let code: Int32

    /// A failure from its parts; the code is that of the last call of this thread unless it is given.
    public init(_ operation: String, _ path: String, code: Int32 = errno) {
        self.operation = operation
        self.path = path
        self.code = code
    }

    /// The system's words for the error.
    public var text: String { String(cString: strerror(code)) }

    /// True when the disk or the user's share of it is full.
    public var isOutOfSpace: Bool { code == ENOSPC || code == EDQUOT }

    /// True when trying again later may succeed, a full disk included: someone may make room.
    public var isTransient: Bool {
        switch code {
        case EINTR, EAGAIN, EBUSY, ENFILE, EMFILE, ENOMEM, EIO, ESTALE, ETIMEDOUT: true
        default: isOutOfSpace
        }
    }

    /// True when this process or the machine is short of memory or descriptors.
    public var isShortage: Bool { [EMFILE, ENFILE, ENOMEM, EINTR, EAGAIN].contains(code) }

    /// True when there is no such file or folder.
    public var isMissing: Bool { code == ENOENT }

    /// One line for people.
    public var description: String { "\(operation) \(path): \(text)" }
}
