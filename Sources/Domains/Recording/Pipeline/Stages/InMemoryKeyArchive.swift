internal import Base
public import Recording

/// Keys that live in memory: for benchmarks and simulations, never for what must be opened again.
public final class InMemoryKeyArchive: KeyArchive, KeyRecords {
    private let records = Lock<[String: KeyRecord]>([:])

    /// An empty archive.
    public init() {}

    /// The same records for every thread.
    public func open() -> any KeyRecords { self }

    /// Keeps a record unless the session has one; answers the one that is kept.
    public func keep(_ record: KeyRecord) -> KeyRecord {
        records.withLock { kept in
            if let known = kept[record.sessionID] { return known }
            kept[record.sessionID] = record
            return record
        }
    }

    /// The record of a session.
    public func record(ofSession sessionID: String) -> KeyRecord? { records.withLock { $0[sessionID] } }

    /// Removes a session's record.
    public func destroy(ofSession sessionID: String) { records.withLock { $0[sessionID] = nil } }
}
