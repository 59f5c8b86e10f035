/// The liveness mark of a session's recorder.
public enum RecorderMark {
    /// Name of the mark.
    public static func name(ofSession session: String) -> String { "recorder/\(session)" }
    /// How long one beat lasts, in milliseconds.
    public static let lifetimeMilliseconds = 15_000
}
