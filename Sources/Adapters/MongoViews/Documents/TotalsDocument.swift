internal import EventSourcing
internal import Recording

// The sums of a partition, in its checkpoint. Not for others to read: `MongoQueries.totals()` adds them up.

extension PartitionTotals {
    func append(to builder: inout BSONBuilder, lineage: String) {
        builder.append("position", position.description)
        builder.append("lineage", lineage)
        builder.append("whole_from", wholeFrom?.description)
        builder.append("sessions") { builder in
            for (status, count) in sessions.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
                builder.append(status.rawValue, int64: Int64(count))
            }
        }
        for (name, value) in zip(Self.names, values) { builder.append(name, int64: Int64(value)) }
        builder.append("minimum_ms", double: minimum_ms)
        builder.append("maximum_ms", double: maximum_ms)
        builder.append("behind", array: behind.sorted { $0.key < $1.key }) { builder, key, item in
            builder.append(key) { builder in
                builder.append("session_id", item.key)
                builder.append("sequence", int64: Int64(clamping: item.value))
            }
        }
    }

    init(_ fields: BSONFields) throws(BSONError) {
        let position = try fields.position("position")
        self.init(of: position.partition)
        self.position = position
        if !fields.isNull("whole_from") { wholeFrom = try fields.position("whole_from") }
        let counts = try fields.document("sessions")
        for status in SessionStatus.allCases where !counts.isNull(status.rawValue) {
            sessions[status] = Int(clamping: try counts.int(status.rawValue))
        }
        var values: [Int] = []
        for name in Self.names { values.append(Int(clamping: try fields.int(name))) }
        self.values = values
        minimum_ms = try fields.optionalAmount("minimum_ms")
        maximum_ms = try fields.optionalAmount("maximum_ms")
        for item in try fields.array("behind") {
            guard case .document(let document) = item else { throw .field("behind") }
            let session = try document.fields()
            behind[try session.string("session_id")] = UInt64(clamping: try session.int("sequence"))
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
    func totalsBook(
        _ subscription: String, instance: String, _ client: borrowing MongoClient
    ) throws(MongoFailure) -> TotalsBook {
        var book = TotalsBook(lineage: try lineage(client), known: [:], unknown: [])
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
                PartitionTotals.names.allSatisfy({ !totals.isNull($0) })
            else { return (partition, nil) }
            // What somebody spoiled is not known either, and is counted anew.
            return (partition, try? PartitionTotals(totals))
        }
        for (partition, totals) in found {
            if let totals { book.known[partition] = totals } else { book.unknown.insert(partition) }
        }
        return book
    }
}
