/// The liveness mark of a session's recorder.
package enum RecorderMark {
    /// Name of the mark.
    package static func name(ofSession session: String) -> String { "recorder/\(session)" }
    /// How long one beat lasts, in milliseconds.
    package static let lifetimeMilliseconds = 15_000
}
