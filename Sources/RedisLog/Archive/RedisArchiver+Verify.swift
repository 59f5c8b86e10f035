public import EventSourcing

extension RedisArchiver {
    /// Reads a partition's whole archive from its newest segment back to its first, each found by the hash
    /// that the one after it (for the newest: the log) names, so that nothing can have been exchanged.
    /// - Parameter each: told after every segment.
    /// - Throws: `corrupt`, naming the segment that is missing, damaged or not the one that belongs there.
    public func verify(
        partition: Int, each: (ArchiveVerification) -> Void = { _ in }
    ) throws(LogFailure) -> ArchiveVerification {
        var found = ArchiveVerification()
        let state = try state(of: partition)
        var reached = state.through
        var hash = state.hash
        var left = state.count
        let names: [SegmentName]
        do throws(SegmentFailure) { names = try archive.store.names(on: archive.shelf(partition)) } catch {
            throw error.asLogFailure("verify archive")
        }
        while reached.milliseconds > 0 {
            let segment = try segment(among: names.filter { $0.last == reached }, hash, reached)
            let header = segment.header
            guard header.countBefore + header.count == left else {
                throw LogFailure(
                    .corrupt, operation: "verify archive", key: "\(header.name)",
                    text: "it ends with event \(header.countBefore + header.count) of its partition instead "
                        + "of \(left)")
            }
            for (event, next) in zip(segment.events, segment.events.dropFirst())
            where event.position >= next.position {
                throw LogFailure(
                    .corrupt, operation: "verify archive", key: "\(header.name)",
                    text: "\(next.position.entryID) comes after \(event.position.entryID)")
            }
            found.segments += 1
            found.events += header.count
            each(found)
            left = header.countBefore
            hash = header.previousHash
            reached = header.after
        }
        guard left == 0, hash.isEmpty else {
            throw LogFailure(
                .corrupt, operation: "verify archive", key: LogPosition.partitionName(partition),
                text: "the first segment says that \(left) events come before it")
        }
        return found
    }

    /// The one of several segments with the same end that has the hash.
    private func segment(
        among names: [SegmentName], _ hash: String, _ reached: LogPosition
    ) throws(LogFailure) -> (header: SegmentHeader, events: [RecordedEvent], hash: String) {
        var other: SegmentName?
        for name in names {
            let segment = try read(name)
            if segment.hash == hash { return segment }
            other = name
        }
        guard let other else {
            throw LogFailure(
                .corrupt, operation: "verify archive", key: "\(reached)",
                text: "the segment that ends here is missing")
        }
        throw LogFailure(
            .corrupt, operation: "verify archive", key: "\(other)",
            text: "it is whole, but not the segment that belongs here: its hash is not the one that was "
                + "written down")
    }
}
