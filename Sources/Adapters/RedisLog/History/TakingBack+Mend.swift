internal import EventSourcing

/// What a partition says of its archive, where it is not so.
extension TakingBack {
    /// Puts right what a partition says of its archive, where a chain of segments from the first on has just
    /// the entries that have left its stream.
    /// - Returns: the partition as it is then; nil when that is not what is wrong.
    func mend(_ state: PartitionState, _ names: [SegmentName]) throws(LogFailure) -> PartitionState? {
        let archived = state.gone - state.lost
        guard archived > 0, state.trimmed == nil || state.trimmed == archived, !owner.options.onlyLooks else {
            return nil
        }
        let said = ArchiveAnchor(through: state.through, count: state.count, hash: state.hash)
        guard let anchor = try anchor(after: archived, state, names, unless: said) else { return nil }
        let reply = try client.run(
            "mend archive", LogKeys.archive(state.partition), .mend,
            [
                LogKeys.archive(state.partition), LogKeys.ranks(state.partition),
                LogKeys.log(state.partition),
            ],
            [
                anchor.through.entryID, String(anchor.count), anchor.hash, state.end.entryID,
                String(state.gone),
            ])
        guard reply.integer == 1 else { return nil }
        owner.options.notify(.archiveMended(state.partition, through: anchor.through))
        return try PartitionInspector(client: client).states([state.partition]).first
    }

    /// Where a chain of segments from the first on ends that has a number of entries, all of them such as
    /// have left the stream; nil when there is none, or when what is said now is one of them. A chain that is
    /// vouched for comes before others, and one that goes on before one that ends.
    private func anchor(
        after count: Int, _ state: PartitionState, _ names: [SegmentName], unless said: ArchiveAnchor
    ) throws(LogFailure) -> ArchiveAnchor? {
        var paths = SegmentPaths(from: [.start(of: state.partition): ""])
        var vouched: Set<SegmentLink> = []
        for name in names.sorted() where paths.reach(name.after) {
            guard let link = try? owner.archive.link(of: name) else { continue }
            let isVouched: Bool?
            do throws(SegmentFailure) { isVouched = try owner.archive.isVouched(link) } catch {
                throw error.asLogFailure("mend archive")
            }
            // Somebody has vouched for another segment in its place.
            if isVouched == false { continue }
            if isVouched == true { vouched.insert(link) }
            _ = paths.add(link)
        }
        let reached = paths.reached
        let beginnings = Set(reached.map { ArchivePlace($0.name.after, $0.previousHash) })
        var found: [(anchor: ArchiveAnchor, rank: Int)] = []
        for last in reached where last.countThrough == count && last.name.last <= state.end {
            guard state.first.map({ $0 > last.name.last }) ?? true else { continue }
            let path = paths.path(to: last)
            var before = 0
            let isWhole = path.allSatisfy { link in
                guard link.countBefore == before, (try? segment(link)) != nil else { return false }
                before = link.countThrough
                return true
            }
            guard isWhole else { continue }
            if last.anchor == said { return nil }
            let goesOn = beginnings.contains(ArchivePlace(last.name.last, last.hash))
            found.append((last.anchor, (path.allSatisfy(vouched.contains) ? 2 : 0) + (goesOn ? 1 : 0)))
        }
        return found.max { $0.rank < $1.rank }?.anchor
    }
}
