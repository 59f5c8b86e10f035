internal import Base
internal import Glibc

/// How much room a file system has.
package struct DiskSpace: Hashable, Sendable {
    /// Bytes that this user may still write.
    package let availableBytes: Int
    /// Bytes of the whole file system.
    package let totalBytes: Int
    package init(availableBytes: Int, totalBytes: Int) {
        self.availableBytes = availableBytes
        self.totalBytes = totalBytes
    }
}

extension DiskSpace {
    /// How much room the disk of a folder has.
    package static func of(_ path: String) throws(StorageFailure) -> DiskSpace {
        var status = statvfs()
        guard statvfs(path, &status) == 0 else { throw .file(FileFailure("statvfs", path)) }
        // File systems over a network say whatever they like.
        let unit = Int(clamping: status.f_frsize)
        return DiskSpace(
            availableBytes: Int(clamping: status.f_bavail) *| unit,
            totalBytes: Int(clamping: status.f_blocks) *| unit)
    }
}
