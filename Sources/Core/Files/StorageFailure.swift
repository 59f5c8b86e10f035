/// Why a file or a blob could not be written, read, listed or removed.
package enum StorageFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// The operating system refused.
    case file(FileFailure)
    /// The id cannot be part of a path.
    case invalidIdentifier(String)
    /// The number cannot be part of a name: it is not 1 to 99999999.
    case invalidSequence(Int)
    /// There is no such file.
    case missing(path: String)
    /// Something else than a regular file has the name; it was not opened.
    case notAFile(path: String, FileKind)
    /// Something else than a folder has the name; it was not followed.
    case notAFolder(path: String, FileKind)
    /// The file has another length than was recorded.
    case wrongSize(path: String, expected: Int, found: Int)
    /// The file is longer than the caller allows.
    case tooLarge(path: String, bytes: Int, limit: Int)
    /// The spool holds as much as it may.
    case full(path: String, limitBytes: Int, usedBytes: Int, neededBytes: Int)

    /// True when trying again later may succeed: someone may make room, or the trouble may pass.
    package var isTransient: Bool {
        switch self {
        case .file(let failure): failure.isTransient
        case .full: true
        default: false
        }
    }

    /// True when this process or the machine is short of memory or descriptors: it says nothing of the file.
    package var isShortage: Bool {
        switch self {
        case .file(let failure): failure.isShortage
        default: false
        }
    }

    /// True when there is no such file.
    package var isMissing: Bool {
        switch self {
        case .missing: true
        case .file(let failure): failure.isMissing
        default: false
        }
    }

    /// True when there is no room left, on the disk or within the spool's limit.
    package var isOutOfSpace: Bool {
        switch self {
        case .file(let failure): failure.isOutOfSpace
        case .full: true
        default: false
        }
    }

    /// One line for people.
    package var description: String {
        switch self {
        case .file(let failure): failure.description
        case .invalidIdentifier(let id): "\"\(id)\" is no valid id"
        case .invalidSequence(let number): "sequence number \(number) is not 1 to 99999999"
        case .missing(let path): "\(path) does not exist"
        case .notAFile(let path, let kind): "\(path) is \(kind.rawValue), not a regular file"
        case .notAFolder(let path, let kind): "\(path) is \(kind.rawValue), not a folder"
        case .wrongSize(let path, let expected, let found):
            "\(path) has \(found) bytes, recorded were \(expected)"
        case .tooLarge(let path, let bytes, let limit):
            "\(path) has \(bytes) bytes, more than the limit of \(limit)"
        case .full(let path, let limit, let used, let needed):
            "spool \(path) is full: \(used) of \(limit) bytes used, \(needed) more needed"
        }
    }
}
