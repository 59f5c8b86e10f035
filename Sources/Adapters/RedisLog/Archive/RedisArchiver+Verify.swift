package import EventSourcing

extension RedisArchiver {
    /// Reads a partition's whole archive from its newest segment back to its first, each found by the hash
    /// that the one after it (for the newest: the log) names, so that nothing can have been exchanged.
    /// - Parameter each: told after every segment.
    /// - Throws: `corrupt`, naming the segment that is missing, damaged or not the one that belongs there, or
    ///   that holds what the log has lost.
    package func verify(
        partition: Int, each: (ArchiveVerification) -> Void = { _ in }
    ) throws(LogFailure) -> ArchiveVerification {
        var found = ArchiveVerification()
        let (anchor, records) = try client.archiveRecords(of: partition, from: 0)
        var recorded = SegmentChain(partition: partition)
        recorded.append(records, through: anchor.through)
        var wanted = anchor
        let names: [SegmentName]
        do throws(SegmentFailure) { names = try archive.names(partition) } catch {
            throw error.asLogFailure("verify archive")
        }
        while wanted.through.milliseconds > 0 {
            let link = try segment(among: names.filter { $0.last == wanted.through }, wanted)
            guard link.countThrough == wanted.count else {
                throw corrupt(
                    "\(link.name)",
                    "it ends with event \(link.countThrough) of its partition instead of \(wanted.count)")
            }
            found.segments += 1
            found.events += link.count
            each(found)
            wanted = ArchiveAnchor(
                through: link.name.after, count: link.countBefore, hash: link.previousHash)
            recorded.cut(after: link.name.last)
            if let record = recorded.links.last, record.name.last == link.name.last, record != link {
                throw corrupt("\(link.name)", "the server's record of it is \(record.record)")
            }
        }
        guard wanted.count == 0, wanted.hash.isEmpty else {
            throw corrupt(
                LogPosition.partitionName(partition),
                "the first segment says that \(wanted.count) events come before it")
        }
        // What goes on from there is what an archiver has not trimmed yet, or what the log has lost.
        if let stranger = try log.history.recovery?.strangers(in: partition).first {
            throw corrupt(
                "\(LogPosition.partitionName(partition))/\(stranger)",
                "it goes beyond what the log was archived up to, and holds what the log does not: 'reel up' and "
                    + "'reel serve' take it back when they start, where somebody with a key has vouched for it"
            )
        }
        return found
    }

    private func corrupt(_ key: String, _ text: String) -> LogFailure {
        LogFailure(.corrupt, operation: "verify archive", key: key, text: text)
    }

    /// The one of several segments with the same end that has the hash, read whole.
    private func segment(
        among names: [SegmentName], _ wanted: ArchiveAnchor
    ) throws(LogFailure) -> SegmentLink {
        var other: (SegmentName, String)?
        for name in names {
            let link = try waiting(name).link
            if link.hash == wanted.hash { return link }
            other = (name, link.hash)
        }
        guard let (name, hash) = other else {
            throw corrupt("\(wanted.through)", "the segment that ends here is missing")
        }
        throw corrupt(
            "\(name)",
            "it is whole, but not the segment that belongs here: its hash is \(hash), and the log's chain says "
                + wanted.hash)
    }
}
