internal import EventSourcing
package import ReadModels

// The sums of a partition, in its checkpoint. Not for others to read.

extension PartitionTotals {
    /// Appends the sums as they stand in a checkpoint.
    package func append(to builder: inout BSONBuilder, _ names: TotalsNames, lineage: String) {
        builder.append("position", position.description)
        builder.append("lineage", lineage)
        builder.append("whole_from", wholeFrom?.description)
        builder.append(names.groups) { builder in
            for (group, count) in groups.sorted(by: { $0.key < $1.key }) {
                builder.append(group, int64: Int64(count))
            }
        }
        for (place, name) in names.sums.enumerated() {
            builder.append(name, int64: Int64(place < sums.count ? sums[place] : 0))
        }
        builder.append(names.least, double: least)
        builder.append(names.most, double: most)
        builder.append("behind", array: behind.sorted { $0.key < $1.key }) { builder, key, item in
            builder.append(key) { builder in
                builder.append(names.history, item.key)
                builder.append("sequence", int64: Int64(clamping: item.value))
            }
        }
    }

    /// Reads what `append` writes.
    package init(_ fields: BSONFields, _ names: TotalsNames) throws(BSONError) {
        let position = try fields.position("position")
        self.init(of: position.partition)
        self.position = position
        if !fields.isNull("whole_from") { wholeFrom = try fields.position("whole_from") }
        let counts = try fields.document(names.groups)
        for group in counts.names where !counts.isNull(group) {
            groups[group] = Int(clamping: try counts.int(group))
        }
        for name in names.sums { sums.append(Int(clamping: try fields.int(name))) }
        least = try fields.optionalAmount(names.least)
        most = try fields.optionalAmount(names.most)
        for item in try fields.array("behind") {
            guard case .document(let document) = item else { throw .field("behind") }
            let history = try document.fields()
            behind[try history.string(names.history)] = UInt64(clamping: try history.int("sequence"))
        }
    }
}

extension Checkpoints {
    /// The name of the database's present life, whichever log it is of.
    func life(_ client: borrowing MongoClient) throws(MongoFailure) -> String? {
        let marker = MongoFind(filter: BSONDocument { $0.append("_id", Self.markerID) })
        return try client.findOne(marker, in: collections.checkpoints, passingOver: foreign) {
            (fields) throws(BSONError) in try fields.string("instance")
        }
    }

    /// The rebuild that counts belong to which are of use; empty before the first.
    func lineage(_ client: borrowing MongoClient) throws(MongoFailure) -> String {
        let marker = MongoFind(filter: BSONDocument { $0.append("_id", Self.markerID) })
        return try client.findOne(marker, in: collections.checkpoints) { (fields) throws(BSONError) in
            (try? fields.string("totals_lineage")) ?? ""
        } ?? ""
    }

    /// The sums of all partitions. Those of a partition whose checkpoint has none, or none that can be read,
    /// or that come from before a rebuild, are not known.
    func projectedTotals(
        _ subscription: String, instance: String, _ client: borrowing MongoClient
    ) throws(MongoFailure) -> ProjectedTotals {
        var book = ProjectedTotals(lineage: try lineage(client), known: [:], unknown: [])
        guard let names = collections.views.totals?.names else { return book }
        let filter = BSONDocument { builder in
            builder.append("_id") { builder in
                builder.append("$gt", "\(subscription)/")
                builder.append("$lt", "\(subscription)0")
            }
            builder.append("instance", instance)
        }
        let found = try client.find(
            MongoFind(filter: filter), in: collections.checkpoints, passingOver: foreign
        ) { (fields) throws(BSONError) -> (partition: Int, totals: PartitionTotals?) in
            let partition = try fields.position("position").partition
            // Those of an earlier version may lack some, and what does not read is not known.
            guard let totals = try? fields.document("totals"),
                (try? totals.string("lineage")) == book.lineage,
                names.sums.allSatisfy({ !totals.isNull($0) })
            else { return (partition, nil) }
            // What somebody spoiled is not known either, and is counted anew.
            return (partition, try? PartitionTotals(totals, names))
        }
        for (partition, totals) in found {
            if let totals { book.known[partition] = totals } else { book.unknown.insert(partition) }
        }
        return book
    }
}
