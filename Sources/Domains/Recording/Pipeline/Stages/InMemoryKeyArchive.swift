internal import Base
package import Recording

/// Keys that live in memory: for benchmarks and simulations, never for what must be opened again.
package final class InMemoryKeyArchive: KeyArchive, KeyRecords {
    private let records = Lock<[String: KeyRecord]>([:])

    /// An empty archive.
    package init() {}

    /// The same records for every thread.
    package func open() -> any KeyRecords { self }

    /// Keeps a record unless the session has one; answers the one that is kept.
    package func keep(_ record: KeyRecord) -> KeyRecord {
        records.withLock { kept in
            if let known = kept[record.sessionID] { return known }
            kept[record.sessionID] = record
            return record
        }
    }

    /// The record of a session.
    package func record(ofSession sessionID: String) -> KeyRecord? { records.withLock { $0[sessionID] } }

    /// Removes a session's record.
    package func destroy(ofSession sessionID: String) { records.withLock { $0[sessionID] = nil } }
}
