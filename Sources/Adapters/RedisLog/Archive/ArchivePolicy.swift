public import EventSourcing

/// When the log's older part is archived, and what must have gone on before.
public struct ArchivePolicy: Sendable {
    /// A segment is closed when this many events of a partition may go; also its largest number of events.
    public var afterEvents = 5000
    /// Events older than this are archived even where they are few; milliseconds.
    public var afterMilliseconds = 24 * 3_600_000
    /// Largest sum of payloads in a segment.
    public var segmentBytes = 32 << 20

    /// The usual policy.
    public init() {}
}

/// What keeps a part of a partition in the server.
public struct ArchiveHold: Sendable, Hashable, CustomStringConvertible {
    /// `group`, `pending entry`, `parked event`, `checkpoint`, `newest event`, `missing group` …
    public var kind: String
    /// Name of the group or the subscription.
    public var name: String
    /// The position that is held.
    public var position: LogPosition
    /// Whether the position itself is held, or only what comes behind it.
    public var holdsItself: Bool

    /// Whether everything up to a position may go.
    func allows(_ through: LogPosition) -> Bool { holdsItself ? through < position : through <= position }

    /// One line for people.
    public var description: String { "\(kind) of \(name) at \(position.entryID)" }
}

/// The archive of one partition.
public struct PartitionArchive: Sendable, Hashable {
    /// The partition.
    public var partition: Int
    /// Up to where the partition was trimmed; its start when it was not.
    public var through: LogPosition
    /// Events that are in the archive alone.
    public var archivedEvents: Int
    /// Events that are in the server.
    public var liveEvents: Int
    /// What holds the lowest position; nil for an empty partition.
    public var hold: ArchiveHold?
    /// Since when the archiver can't go on there, and why; empty where it can.
    public var stuck = ""
}

/// What one run over a partition did.
public struct ArchiveRun: Sendable, Hashable {
    /// Segments that were archived and trimmed.
    public var segments = 0
    /// Events in them.
    public var events = 0
    /// What kept a closed segment from being trimmed; nil when nothing did.
    public var hold: ArchiveHold?

    /// A run that did nothing yet.
    public init() {}
}

/// What a verification of a partition's archive found in order.
public struct ArchiveVerification: Sendable, Hashable {
    /// Segments that were read.
    public var segments = 0
    /// Events in them.
    public var events = 0

    /// Nothing verified yet.
    public init() {}
}

/// The steps of archiving, for tests that end a run at any of them.
public enum ArchiveStep: String, Sendable, CaseIterable {
    /// A segment is about to be written.
    case closing
    /// It was written.
    case written
    /// It was read again and compared with the log.
    case verified
    /// The log was trimmed; indexes have not followed.
    case trimmed
    /// Some of the indexes have followed.
    case shrinking
    /// All of the indexes have followed; that was not written down.
    case shrunk
}
