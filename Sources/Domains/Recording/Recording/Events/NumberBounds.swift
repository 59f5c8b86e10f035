/// The bounds of the numbers in events, the same as in the schemas (`schemas/events`): what lies beyond them
/// no version of Reel ever wrote, and an event that holds it cannot be read.
///
/// Each is wide enough for everything that was written lawfully, and narrow enough for sums over as many
/// events as a log can hold.
package enum NumberBounds {
    /// Numbers of chunks in their session: as many as file names have digits for.
    package static let sequenceNumber = 1...99_999_999
    /// Counts of chunks in a session.
    package static let chunkCount = 0...99_999_999
    /// Bytes of a recorded chunk, and of the codec's output: the largest chunk size there is.
    package static let chunkBytes = 0...104_857_600
    /// Bytes of a sealed file: those of a chunk and 4,148 for magic, length, header, nonce and tag.
    package static let sealedBytes = 0...104_861_748
    /// Bytes of a whole session: numbers that every reader of JSON holds exactly.
    package static let sessionBytes = 0...9_007_199_254_740_991
    /// Numbers of events in a session's history, as others' records name them.
    package static let sessionSequence = 1...9_007_199_254_740_991
    /// Frames of a chunk.
    package static let frames = 0...2_147_483_647
    /// Seconds of media. Uploads were never bounded here, so every number is lawful that is not negative.
    package static let seconds = 0.0 ... .greatestFiniteMagnitude
    /// Milliseconds of work: a year, which no process has lived for.
    package static let work_ms = 0.0...31_536_000_000
    /// The codec's output against the original.
    package static let ratio = 0.0...1.0
    /// Scores of quality.
    package static let quality = 0.0...100.0
    /// Tries of a stage.
    package static let attempts = 1...2_147_483_647
    /// HTTP statuses, and exit statuses of commands.
    package static let status = 0...999
    /// TCP ports.
    package static let port = 1...65_535
    /// Frames a second that a recording is asked for.
    package static let frameRate = 1...120
    /// Kilobits a second that a recording is asked for.
    package static let bitrate = 1000...50_000_000
    /// Days that a session is kept.
    package static let retentionDays = 1...365
    /// Gigabytes that a session may have.
    package static let maxSizeGB = 1...1000
    /// Bytes of a full chunk.
    package static let chunkSize = 1024...104_857_600
}
