internal import Base
package import Glibc

/// What a name in a folder stands for.
package enum FileKind: String, Hashable, Sendable {
    case regular = "a regular file"
    case folder = "a folder"
    case symbolicLink = "a symbolic link"
    case pipe = "a named pipe"
    case socket = "a socket"
    case characterDevice = "a character device"
    case blockDevice = "a block device"
    case unknown = "something that this version does not know"

    package init(mode: mode_t) {
        switch mode & S_IFMT {
        case S_IFREG: self = .regular
        case S_IFDIR: self = .folder
        case S_IFLNK: self = .symbolicLink
        case S_IFIFO: self = .pipe
        case S_IFSOCK: self = .socket
        case S_IFCHR: self = .characterDevice
        case S_IFBLK: self = .blockDevice
        default: self = .unknown
        }
    }
}

extension stat {
    /// What the file is.
    package var kind: FileKind { FileKind(mode: st_mode) }
    /// Its length.
    package var bytes: Int { Int(st_size) }
}

/// A name in a folder, whatever bytes it consists of: others may have put it there.
package struct FileName: Hashable, Comparable, Sendable {
    /// Without the NUL behind it.
    package let bytes: [UInt8]

    package init(_ text: String) { bytes = [UInt8](text.utf8) }

    /// The name of an entry of a folder.
    package init(_ entry: UnsafeMutablePointer<dirent>) { bytes = DirectoryEntry(entry).nameBytes }

    /// The name as text; bytes that are no UTF-8 are shown as replacements, and name no other file.
    package var text: String { String(decoding: bytes, as: UTF8.self) }

    /// Whether the text is the name.
    package var isText: Bool { [UInt8](text.utf8) == bytes }

    /// Lends the name with a NUL behind it; the pointer ends with the closure.
    package func withCString<R>(_ body: (UnsafePointer<CChar>) -> R) -> R {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: bytes.count + 1) { name in
            for (place, byte) in bytes.enumerated() { name[place] = CChar(bitPattern: byte) }
            name[bytes.count] = 0
            guard let start = name.baseAddress else { preconditionFailure("an allocation has an address") }
            return body(UnsafePointer(start))
        }
    }

    /// By bytes.
    package static func < (a: FileName, b: FileName) -> Bool { a.bytes.lexicographicallyPrecedes(b.bytes) }
}
