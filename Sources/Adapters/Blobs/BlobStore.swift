package import Files

/// What became of bytes that were given to a store.
package enum PutOutcome: Hashable, Sendable {
    /// They are there now, durably.
    case stored
    /// Others were there first and stay; they are durable, and so many bytes.
    case alreadyStored(bytes: Int)
}

/// One blob of a listing.
package struct StoredBlob: Hashable, Sendable {
    /// The last part of its name.
    package let name: String
    /// Its length.
    package let bytes: Int
    package init(name: String, bytes: Int) {
        self.name = name
        self.bytes = bytes
    }
}

/// What stands at one place of a store. Each list is sorted by name.
package struct BlobListing: Hashable, Sendable {
    /// The blobs.
    package var blobs: [StoredBlob] = []
    /// What leads further down.
    package var folders: [String] = []
    /// What is neither, and never came from here.
    package var others: [OtherName] = []
    /// An empty place.
    package init() {}
}

/// A name that somebody else has put into a store.
package struct OtherName: Hashable, Sendable {
    /// The name; bytes that are no UTF-8 are shown as replacements.
    package let name: String
    /// What it stands for.
    package let kind: FileKind
    package init(name: String, kind: FileKind) {
        self.name = name
        self.kind = kind
    }
}

/// Blobs, each written once: what has a name is whole and durable, and never changes.
///
/// Any number of threads and processes may use a store at once. Calls block: make them on a thread of their
/// own. What every store keeps is in the suite `BlobStoreContract`.
package protocol BlobStore: Sendable {
    /// The store, for people.
    var place: String { get }

    /// Keeps bytes under a name, durably, unless it has any. Of several that write one name at once exactly
    /// one is told `stored`, and its bytes are kept.
    func putIfAbsent(_ bytes: UnsafeRawBufferPointer, _ name: BlobName) throws(StorageFailure) -> PutOutcome

    /// Replaces the contents of `buffer` with a whole blob.
    /// - Parameters:
    ///   - expectedBytes: its length, where it is known; of a blob of another length nothing is read.
    ///   - maximumBytes: of a longer blob nothing is read.
    /// - Throws: `missing`, `wrongSize`, `tooLarge`, and what the store fails with.
    func read(
        _ name: BlobName, into buffer: ScratchBuffer, expectedBytes: Int?, maximumBytes: Int
    ) throws(StorageFailure)

    /// Replaces the contents of `buffer` with a part of a blob: from `offset`, up to `count` bytes, fewer
    /// only where it ends.
    /// - Returns: the length of the blob.
    /// - Throws: `missing`, and what the store fails with.
    func read(
        _ name: BlobName, from offset: Int, count: Int, into buffer: ScratchBuffer
    ) throws(StorageFailure) -> Int

    /// Length of a blob in bytes; nil when there is none.
    func size(_ name: BlobName) throws(StorageFailure) -> Int?

    /// What stands at a place; nothing where nothing was put.
    func list(_ folder: [String]) throws(StorageFailure) -> BlobListing

    /// Gives a blob another name, durably; one that has it is replaced.
    /// - Returns: false when there was none.
    func move(_ name: BlobName, to other: BlobName) throws(StorageFailure) -> Bool

    /// Removes a blob, durably.
    /// - Returns: false when there was none.
    func remove(_ name: BlobName) throws(StorageFailure) -> Bool

    /// Removes all that stands at a place and below it, durably.
    /// - Parameter folder: not empty; for the whole store nothing is removed.
    /// - Returns: how many blobs there were.
    func removeAll(_ folder: [String]) throws(StorageFailure) -> Int

    /// Removes what writers that have died left unfinished at a place, and nobody has written to for `age`
    /// seconds.
    /// - Returns: how many there were.
    func sweepUnfinished(_ folder: [String], olderThanSeconds age: Int) throws(StorageFailure) -> Int
}
