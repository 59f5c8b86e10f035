/// Something in a session's history that cannot have come about lawfully, or cannot be read.
package struct HistoryFinding: Sendable, Hashable, CustomStringConvertible {
    /// Which rule is broken.
    package enum Rule: String, Sendable, CaseIterable {
        /// An entry cannot be read, or its payload not understood.
        case unreadable
        /// Sequences are 1, 2, 3 … without gaps, and positions in the log rise.
        case sequence
        /// What happens once has an id that is derived from it; no id comes twice; the envelope names what
        /// the payload is about.
        case identity
        /// A step that the session's or the pipeline's state machine does not have, or an event at a time at
        /// which it cannot happen.
        case transition
        /// An event stands without one that it comes after.
        case order
        /// What happens once stands twice, or behind what comes after it.
        case repetition
        /// Counts and sums in events are those of what stands before them.
        case counts
        /// What an event says of a chunk differs from what was recorded, or from what the event before it
        /// says.
        case content
        /// A digest, hash or name that is not well formed.
        case form
        /// A session that is encrypted has a chunk that is not.
        case cipher
        /// The Merkle root is missing, or not that of the chunks.
        case root
    }

    /// Which rule is broken.
    package var rule: Rule
    /// The session's or the chunk's id.
    package var subject: String
    /// Sequence of the event with which it shows; 0 where that is the history as a whole.
    package var sequence: UInt64
    /// What was found, and what ought to stand there.
    package var text: String
    package init(_ rule: Rule, _ subject: String, sequence: UInt64, _ text: String) {
        self.rule = rule
        self.subject = subject
        self.sequence = sequence
        self.text = text
    }

    /// The text, and the sequence that it is about.
    package var description: String { sequence > 0 ? "event \(sequence): \(text)" : text }
}
