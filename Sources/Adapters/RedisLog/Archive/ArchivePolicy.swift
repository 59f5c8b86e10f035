package import EventSourcing

/// When the log's older part is archived, and what must have gone on before.
package struct ArchivePolicy: Sendable {
    /// A segment is closed when this many events of a partition may go; also its largest number of events.
    package var afterEvents = 5000
    /// Events older than this are archived even where they are few; milliseconds.
    package var afterMilliseconds = 24 * 3_600_000
    /// Largest sum of payloads in a segment.
    package var segmentBytes = 32 << 20

    /// The usual policy.
    package init() {}
}

/// What keeps a part of a partition in the server.
package struct ArchiveHold: Sendable, Hashable, CustomStringConvertible {
    /// `group`, `pending entry`, `parked event`, `checkpoint`, `newest event`, `missing group` …
    package var kind: String
    /// Name of the group or the subscription.
    package var name: String
    /// The position that is held.
    package var position: LogPosition
    /// Whether the position itself is held, or only what comes behind it.
    package var holdsItself: Bool

    /// Whether everything up to a position may go.
    func allows(_ through: LogPosition) -> Bool { holdsItself ? through < position : through <= position }

    /// One line for people.
    package var description: String { "\(kind) of \(name) at \(position.entryID)" }
}

/// The archive of one partition.
package struct PartitionArchive: Sendable, Hashable {
    /// The partition.
    package var partition: Int
    /// Up to where the partition was trimmed; its start when it was not.
    package var through: LogPosition
    /// Events that are in the archive alone.
    package var archivedEvents: Int
    /// Events that are in the server.
    package var liveEvents: Int
    /// What holds the lowest position; nil for an empty partition.
    package var hold: ArchiveHold?
    /// Since when the archiver can't go on there, and why; empty where it can.
    package var stuck = ""
}

/// What one run over a partition did.
package struct ArchiveRun: Sendable, Hashable {
    /// Segments that were archived and trimmed.
    package var segments = 0
    /// Events in them.
    package var events = 0
    /// What kept a closed segment from being trimmed; nil when nothing did.
    package var hold: ArchiveHold?

    /// A run that did nothing yet.
    package init() {}
}

/// What a verification of a partition's archive found in order.
package struct ArchiveVerification: Sendable, Hashable {
    /// Segments that were read.
    package var segments = 0
    /// Events in them.
    package var events = 0

    /// Nothing verified yet.
    package init() {}
}

/// The steps of archiving, for tests that end a run at any of them.
package enum ArchiveStep: String, Sendable, CaseIterable {
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
