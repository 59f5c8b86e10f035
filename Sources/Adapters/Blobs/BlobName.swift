package import Files

/// The name of a blob: where it stands, and what it is called there, as in `sess-1/00000001.reel`.
///
/// One to four parts of 1 to 150 letters, digits, hyphens, underscores and dots. None is `.` or `..`, and
/// none begins like the temporary names of a store of files: so no name leads out of a store, and every store
/// can keep every blob.
package struct BlobName: Hashable, Sendable, CustomStringConvertible {
    /// The parts that lead to it; empty for a blob that stands at the top.
    package let folder: [String]
    /// The last part.
    package let name: String

    private static let maximumParts = 4
    private static let maximumPartBytes = 150

    /// A name from its parts.
    /// - Throws: `invalidIdentifier` for one that breaks the rule.
    package init(_ folder: [String], _ name: String) throws(StorageFailure) {
        guard folder.count < Self.maximumParts, folder.allSatisfy(Self.isPart), Self.isPart(name) else {
            throw .invalidIdentifier((folder + [name]).joined(separator: "/"))
        }
        self.folder = folder
        self.name = name
    }

    /// A name from its text.
    /// - Throws: `invalidIdentifier` for one that breaks the rule.
    package init(_ text: String) throws(StorageFailure) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        try self.init(parts.dropLast(), parts.last ?? "")
    }

    /// The parts, with slashes between them.
    package var description: String { (folder + [name]).joined(separator: "/") }

    /// Refuses what can't lead to blobs.
    /// - Throws: `invalidIdentifier`.
    package static func check(folder: [String]) throws(StorageFailure) {
        guard folder.count < maximumParts, folder.allSatisfy(isPart) else {
            throw .invalidIdentifier(folder.joined(separator: "/"))
        }
    }

    private static func isPart(_ part: String) -> Bool {
        (1...maximumPartBytes).contains(part.utf8.count) && part != "." && part != ".."
            && !part.hasPrefix(FileTree.temporaryPrefix)
            && part.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
                default: false
                }
            }
    }
}
