internal import Base
internal import Files
package import EventSourcing
package import Sealing

/// Segments as files: `<root>/<epoch>/p<partition>/<after>_<last>.seg`, each with a `.vouched` file beside it
/// once it was compared with the log (see `ArchiveVoucher`).
package struct FileSegmentStore: SegmentStore {
    private let files: ArchiveFiles
    private let ring: KeyRing?
    private static let vouched = ".vouched"
    private static let aside = ".lost"
    private static let voucherBytes = 256

    /// - Parameters:
    ///   - root: the archive's folder; it is made with the first segment.
    ///   - ring: the keys that vouch for segments; nil where this process has none.
    package init(root: String, ring: KeyRing? = nil) {
        files = ArchiveFiles(root: root)
        self.ring = ring
    }

    /// The archive's folder.
    package var root: String { files.root }

    private func folder(_ part: ArchivePart) throws(SegmentFailure) -> [String] {
        // The epoch comes from a server: it must not lead out of the folder.
        let isName = part.epoch.utf8.allSatisfy {
            (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 45
        }
        guard isName, !part.epoch.isEmpty else {
            throw SegmentFailure(
                .storage(transient: false), segment: part.epoch,
                text: "the log's epoch cannot be the name of a folder")
        }
        return [part.epoch, LogPosition.partitionName(part.partition)]
    }

    /// Names in the part's folder; files of other names are left out.
    package func names(in part: ArchivePart) throws(SegmentFailure) -> [SegmentName] {
        let folder = try folder(part)
        let names = try wrap(folder) { () throws(ArchiveFailure) in try files.names(in: folder) }
        return names.compactMap { SegmentName($0, partition: part.partition) }.sorted()
    }

    /// Writes, synchronizes, and gives the file its name by `link`.
    package func write(
        header: [UInt8], index: [UInt8], payload: [UInt8], as name: SegmentName, in part: ArchivePart
    ) throws(SegmentFailure) {
        let folder = try folder(part)
        try wrap(folder + [name.description]) { () throws(ArchiveFailure) in
            _ = try files.write(
                ArchiveFile(header: header, index: index, payload: payload), in: folder,
                name: name.description)
        }
    }

    /// Reads a whole file and verifies it.
    package func read(_ name: SegmentName, in part: ArchivePart) throws(SegmentFailure) -> StoredSegment {
        let folder = try folder(part)
        let read = try wrap(folder + [name.description]) { () throws(ArchiveFailure) in
            try files.read(in: folder, name: name.description)
        }
        return StoredSegment(
            header: read.file.header, index: read.file.index, payload: read.file.payload,
            hash: read.digest.hex, frontHash: read.frontDigest.hex)
    }

    /// Reads a file's beginning and verifies it.
    package func readFront(
        _ name: SegmentName, in part: ArchivePart
    ) throws(SegmentFailure) -> SegmentFront {
        let folder = try folder(part)
        return try wrap(folder + [name.description]) { () throws(ArchiveFailure) in
            SegmentFront(try files.readFront(in: folder, name: name.description))
        }
    }

    /// Reads a whole file and verifies it; decompresses nothing.
    package func readSealed(
        _ name: SegmentName, in part: ArchivePart
    ) throws(SegmentFailure) -> (front: SegmentFront, hash: String) {
        let folder = try folder(part)
        return try wrap(folder + [name.description]) { () throws(ArchiveFailure) in
            let (front, digest) = try files.readSealed(in: folder, name: name.description)
            return (SegmentFront(front), digest.hex)
        }
    }

    /// Removes unfinished files that are older than `age` seconds.
    /// - Returns: how many there were.
    package func sweep(_ part: ArchivePart, olderThanSeconds age: Int) throws(SegmentFailure) -> Int {
        let folder = try folder(part)
        return try wrap(folder) { () throws(ArchiveFailure) in
            try files.sweepTemporaries(in: folder, olderThanSeconds: age)
        }
    }

    /// Whether it was given a ring of keys.
    package var hasKey: Bool { ring != nil }

    /// Writes the voucher's file, which is not part of the segment.
    package func vouch(
        for name: SegmentName, hash: String, in part: ArchivePart
    ) throws(SegmentFailure) {
        guard let ring else { return }
        let folder = try folder(part)
        let voucher: ArchiveVoucher
        do throws(KeyFailure) { voucher = try ring.vouch(for: subject(name, hash, part)) } catch {
            throw Self.failure(error, folder + ["\(name)"])
        }
        try wrap(folder + ["\(name)\(Self.vouched)"]) { () throws(ArchiveFailure) in
            try files.writeNote(voucher.line, in: folder, name: "\(name)\(Self.vouched)")
        }
    }

    /// Looks at the voucher's file.
    package func isVouched(
        _ name: SegmentName, hash: String, in part: ArchivePart
    ) throws(SegmentFailure) -> Bool? {
        guard let ring else { return nil }
        let folder = try folder(part)
        let line = try wrap(folder + ["\(name)\(Self.vouched)"]) { () throws(ArchiveFailure) in
            try files.readNote(
                in: folder, name: "\(name)\(Self.vouched)", limit: Self.voucherBytes)
        }
        guard let line else { return nil }
        guard let voucher = ArchiveVoucher(line: line) else { return false }
        do throws(KeyFailure) { return try ring.isGenuine(voucher, for: subject(name, hash, part)) } catch {
            if case .unknownKeyEncryptionKey = error { return nil }
            throw Self.failure(error, folder + ["\(name)"])
        }
    }

    private func subject(
        _ name: SegmentName, _ hash: String, _ part: ArchivePart
    ) -> ArchiveVoucher.Subject {
        ArchiveVoucher.Subject(
            epoch: part.epoch, partition: LogPosition.partitionName(part.partition),
            segment: "\(name)", hash: hash)
    }

    private static func failure(_ failure: KeyFailure, _ path: [String]) -> SegmentFailure {
        SegmentFailure(
            .storage(transient: failure.isTransient), segment: path.joined(separator: "/"), text: "\(failure)"
        )
    }

    /// Gives the file a name that ends in `.lost`.
    package func setAside(_ name: SegmentName, in part: ArchivePart) throws(SegmentFailure) {
        let folder = try folder(part)
        try wrap(folder + ["\(name)"]) { () throws(ArchiveFailure) in
            try files.rename("\(name)", to: "\(name)\(Self.aside)", in: folder)
        }
    }

    /// Names of the folders below the root.
    package func epochs() throws(SegmentFailure) -> [String] {
        try wrap([]) { () throws(ArchiveFailure) in try files.folders() }
    }

    private func wrap<R>(
        _ path: [String], _ body: () throws(ArchiveFailure) -> R
    ) throws(SegmentFailure) -> R {
        do throws(ArchiveFailure) { return try body() } catch {
            let kind: SegmentFailure.Kind =
                switch error {
                case .storage(let failure) where failure.isMissing: .missing
                case .storage(.notAFile), .storage(.notAFolder), .storage(.tooLarge), .storage(.wrongSize),
                    .damaged:
                    .damaged
                case .storage(let failure): .storage(transient: failure.isTransient)
                case .codec: .storage(transient: false)
                }
            throw SegmentFailure(kind, segment: path.joined(separator: "/"), text: "\(error)")
        }
    }
}

extension SegmentFront {
    fileprivate init(_ front: ArchiveFront) {
        self.init(header: front.header, index: front.index, hash: front.digest.hex)
    }
}
